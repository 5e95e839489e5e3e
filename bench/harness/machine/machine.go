package machine

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// CPU is the processor's name and its number of cores.
func CPU() string {
	name := runtime.GOARCH
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		found := map[string]string{}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), ":")
			key = strings.TrimSpace(key)
			if _, seen := found[key]; !seen {
				found[key] = strings.TrimSpace(value)
			}
		}
		if model := found["model name"]; model != "" {
			name = fmt.Sprintf("%s (family %s model %s)", model, found["cpu family"], found["model"])
		}
	}
	return fmt.Sprintf("%s, %d cores", name, runtime.NumCPU())
}

// Commit is the checked-out commit of the folder, with "+" where tracked files differ from it; "unknown" outside git.
func Commit(dir string) string {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return "unknown"
	}
	if changes, err := git("status", "--porcelain", "--untracked-files=no"); err == nil && changes != "" {
		commit += "+"
	}
	return commit
}

// Memory is the total memory of the machine in bytes, 0 where it is not known.
func Memory() int64 { return procKiB("/proc/meminfo", "MemTotal") << 10 }

// RSS is the resident memory of a process in bytes, 0 where it is not known.
func RSS(pid int) int64 { return procKiB(fmt.Sprintf("/proc/%d/status", pid), "VmRSS") << 10 }

// Anonymous is the resident memory of a process that is no file's, in bytes, 0 where it is not known.
func Anonymous(pid int) int64 { return procKiB(fmt.Sprintf("/proc/%d/status", pid), "RssAnon") << 10 }

// ResetPeak begins a new measurement of Peak for this process. Where that cannot be done, Peak is since its start.
func ResetPeak() {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// Peak is the most resident memory that this process has had, in bytes, 0 where it is not known.
func Peak() int64 { return procKiB("/proc/self/status", "VmHWM") << 10 }

func procKiB(file, field string) int64 {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); name == field {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// Load is the load average of the last minute, as the machine writes it.
func Load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// DiskBytes is the size of all files below dir. Files that vanish meanwhile do not count.
func DiskBytes(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}
