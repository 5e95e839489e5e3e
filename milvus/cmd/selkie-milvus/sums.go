package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/selkiedb/selkie/milvus/bulk"
)

// sumsName is the file of checksums of a folder. That of a file has its name, with .sha256 behind. Both are as sha256sum writes and checks them.
const sumsName = "SHA256SUMS"

// writeSums writes the checksums of a file, or of the files of a folder, that will be renamed.
func writeSums(path, renamed string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		sum, err := sumOf(path)
		if err != nil {
			return err
		}
		return os.WriteFile(renamed+".sha256", []byte(sum+"  "+filepath.Base(renamed)+"\n"), 0o666)
	}
	names, err := filepath.Glob(filepath.Join(path, "*.npy"))
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, name := range names {
		sum, err := sumOf(name)
		if err != nil {
			return err
		}
		text.WriteString(sum + "  " + filepath.Base(name) + "\n")
	}
	return os.WriteFile(filepath.Join(path, sumsName), []byte(text.String()), 0o666)
}

// checkSums compares a file, or the files of a folder, with their checksums, if there are any.
func checkSums(path string) error {
	list, dir := path+".sha256", filepath.Dir(path)
	if info, err := os.Stat(path); err != nil {
		return err
	} else if info.IsDir() {
		list, dir = filepath.Join(path, sumsName), path
	}
	f, err := os.Open(list)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		want, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || filepath.Base(name) != name {
			return fmt.Errorf("%s: line %q is none of sha256sum", list, lines.Text())
		}
		sum, err := sumOf(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if sum != want {
			return fmt.Errorf("%s: %w: its checksum is not that of %s", filepath.Join(dir, name), bulk.ErrDamaged, list)
		}
	}
	return lines.Err()
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
