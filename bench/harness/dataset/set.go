package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/selkiedb/selkie/vector"
)

// Meta describes a set.
type Meta struct {
	Name    string `json:"name"`
	Rows    int    `json:"rows"`
	Dim     int    `json:"dim"`
	Queries int    `json:"queries"`
	Depth   int    `json:"depth"` // true neighbours kept for each query
	Metric  string `json:"metric"`
	SHA256  string `json:"sha256"` // of base.f32 followed by queries.f32
	Source  string `json:"source"`
	Licence string `json:"licence"`
}

// The files of a set.
const (
	metaFile    = "meta.json"
	BaseFile    = "base.f32"
	QueriesFile = "queries.f32"
	truthFile   = "truth.i32"
)

// Set is a prepared set. Its rows stay on disk.
type Set struct {
	Meta
	Dir     string
	Metric  vector.Metric
	Queries []float32 // Meta.Queries × Dim
	Truth   []int32   // Meta.Queries × Depth

	base *os.File
}

// Open opens the set in dir. It returns fs.ErrNotExist where nothing was prepared.
func Open(dir string) (*Set, error) {
	text, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return nil, err
	}
	s := &Set{Dir: dir}
	if err := json.Unmarshal(text, &s.Meta); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, metaFile), err)
	}
	if s.Metric, err = vector.ParseMetric(s.Meta.Metric); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	queries, err := os.ReadFile(filepath.Join(dir, QueriesFile))
	if err != nil {
		return nil, err
	}
	truth, err := os.ReadFile(filepath.Join(dir, truthFile))
	if err != nil {
		return nil, err
	}
	if len(queries) != s.Meta.Queries*s.Dim*4 || len(truth) != s.Meta.Queries*s.Depth*4 {
		return nil, fmt.Errorf("%s: the files are not as long as %s says: prepare it again", dir, metaFile)
	}
	s.Queries, s.Truth = floats(queries), make([]int32, len(truth)/4)
	for i := range s.Truth {
		s.Truth[i] = int32(binary.LittleEndian.Uint32(truth[4*i:]))
	}
	if s.base, err = os.Open(filepath.Join(dir, BaseFile)); err != nil {
		return nil, err
	}
	if info, err := s.base.Stat(); err != nil || info.Size() != int64(s.Rows)*int64(s.Dim)*4 {
		return nil, errors.Join(err, s.base.Close(), fmt.Errorf("%s: not %d rows: prepare it again", s.base.Name(), s.Rows))
	}
	return s, nil
}

// Close closes the file of rows.
func (s *Set) Close() error { return s.base.Close() }

// Query returns one query.
func (s *Set) Query(i int) []float32 { return s.Queries[i*s.Dim : (i+1)*s.Dim] }

// Read reads rows from lo on into dst, as many as it has room for.
func (s *Set) Read(lo, hi int, dst []float32) error {
	if hi > s.Rows {
		return fmt.Errorf("%s has %d rows, not %d", s.Name, s.Rows, hi)
	}
	raw := bytesOf(dst[:(hi-lo)*s.Dim])
	_, err := s.base.ReadAt(raw, int64(lo)*int64(s.Dim)*4)
	return err
}

// All reads every row, into memory of their size.
func (s *Set) All() ([]float32, error) {
	rows := make([]float32, s.Rows*s.Dim)
	return rows, s.Read(0, s.Rows, rows)
}

// Verify compares the files with the SHA-256 that the set was prepared with.
func (s *Set) Verify() error {
	sum := sha256.New()
	for _, name := range []string{BaseFile, QueriesFile} {
		f, err := os.Open(filepath.Join(s.Dir, name))
		if err != nil {
			return err
		}
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != s.SHA256 {
		return fmt.Errorf("%s: the data changed since they were prepared: SHA-256 %s, not %s", s.Dir, got, s.SHA256)
	}
	return nil
}

// Cache is the folder of all sets.
type Cache string

// Dir is the folder of a set.
func (c Cache) Dir(name string) string { return filepath.Join(string(c), "data", name) }

// Open opens a prepared set.
func (c Cache) Open(name string) (*Set, error) {
	s, err := Open(c.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data set %s is not there: prepare it with `prepare %s`", name, name)
	}
	return s, err
}

// Has reports whether a set was prepared.
func (c Cache) Has(name string) bool {
	_, err := os.Stat(filepath.Join(c.Dir(name), metaFile))
	return err == nil
}

// Names lists the sets that were prepared.
func (c Cache) Names() []string {
	entries, err := os.ReadDir(filepath.Join(string(c), "data"))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if c.Has(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// floats decodes little-endian float32 values.
func floats(raw []byte) []float32 {
	v := make([]float32, len(raw)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v
}

// bytesOf is the memory of v. The files are little-endian, as is every machine that the rivals run on.
func bytesOf(v []float32) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
}
