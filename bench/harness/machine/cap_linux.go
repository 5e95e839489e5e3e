package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrNoCap is returned where the memory of a process cannot be capped.
var ErrNoCap = errors.New("no control group can be made")

// Cap limits the memory of a process that was just started, its share of the system's cache of files included, by a control group inside
// this process's own. release takes the limit away once the process has ended.
func Cap(pid int, bytes int64) (release func() error, err error) {
	parent, limit, err := ownGroup()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCap, err)
	}
	dir := filepath.Join(parent, fmt.Sprintf("selkie-bench-%d", pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCap, err)
	}
	release = func() error {
		var err error
		for range 50 { // a group is busy until its last process is gone
			if err = os.Remove(dir); err == nil {
				return nil
			}
			time.Sleep(20 * time.Millisecond)
		}
		return err
	}
	write := func(name, text string) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0)
		}
	}
	write(limit, strconv.FormatInt(bytes, 10))
	write("cgroup.procs", strconv.Itoa(pid))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCap, errors.Join(err, release()))
	}
	return release, nil
}

// ownGroup is the folder of this process's group for memory, and the name of the file that holds a group's limit.
func ownGroup() (dir, limit string, err error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", "", err
	}
	unified := ""
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) < 3 {
			continue
		}
		if parts[1] == "memory" {
			return filepath.Join("/sys/fs/cgroup/memory", parts[2]), "memory.limit_in_bytes", nil
		}
		if parts[1] == "" {
			unified = filepath.Join("/sys/fs/cgroup", parts[2])
		}
	}
	if unified == "" {
		return "", "", errors.New("no group for memory in /proc/self/cgroup")
	}
	return unified, "memory.max", nil
}
