package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// position is a file that keeps how far an import is.
type position struct {
	path string // "": none

	File string `json:"file"`
	Rows int64  `json:"rows"`
}

// openPosition reads the position of an import of a file; there may be none yet.
func openPosition(path, file string) (*position, error) {
	p := &position{path: path, File: file}
	if path == "" {
		return p, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(b, p)
	}
	if err == nil && p.File != file {
		err = fmt.Errorf("it is that of an import of %s", p.File)
	}
	if err != nil {
		return nil, fmt.Errorf("position %s: %w", path, err)
	}
	return p, nil
}

// keep writes the position, under another name first. Rows after it are perhaps in the store, too.
func (p *position) keep(rows int64) error {
	p.Rows = rows
	if p.path == "" {
		return nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path+".next", b, 0o600); err != nil {
		return err
	}
	return os.Rename(p.path+".next", p.path)
}

func (p *position) remove() error {
	if p.path == "" {
		return nil
	}
	if err := os.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
