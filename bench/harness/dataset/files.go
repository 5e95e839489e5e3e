package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/sbinet/npyio/npy"

	"github.com/selkiedb/selkie/vector"
)

// fromFiles makes a set of the user's own files.
func fromFiles(name string, o *Options) (*raw, error) {
	metric, err := vector.ParseMetric(o.Metric)
	if err != nil {
		return nil, fmt.Errorf("-metric: %w", err)
	}
	base, dim, err := ReadFile(o.Base)
	if err != nil {
		return nil, err
	}
	r := &raw{name: name, metric: metric, dim: dim, source: filepath.Base(o.Base), licence: "the user's"}
	if o.Queries == "" {
		base, r.queries = holdOut(base, dim, heldOut, 42)
		r.source += ", random rows held out as queries"
	} else {
		queries, queryDim, err := ReadFile(o.Queries)
		if err != nil {
			return nil, err
		}
		if queryDim != dim {
			return nil, fmt.Errorf("%s has %d dimensions, %s %d", o.Queries, queryDim, o.Base, dim)
		}
		r.queries = queries
		r.source += " and " + filepath.Base(o.Queries)
	}
	if len(r.queries) == 0 {
		return nil, fmt.Errorf("%s: too few rows", o.Base)
	}
	r.base = whole(base)
	return r, nil
}

// ReadFile reads vectors, by the ending of the file's name:
//
//	.fvecs .bvecs .ivecs   each row its dimension as little-endian int32, then float32, bytes or int32
//	.npy                   a two-dimensional array of float32, float64, uint8 or int8
//	.jsonl                 each line an array, or an object with one array of numbers ("vector", "embedding", …)
//	.parquet               the first column of lists of floats
//
// All rows must be equally long and finite.
func ReadFile(name string) (rows []float32, dim int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	ending := strings.ToLower(filepath.Ext(name))
	switch ending {
	case ".fvecs", ".bvecs", ".ivecs":
		rows, dim, err = readVecs(bufio.NewReaderSize(f, 1<<20), ending[1])
	case ".npy":
		rows, dim, err = readNumpy(f)
	case ".jsonl":
		rows, dim, err = readLines(bufio.NewReaderSize(f, 1<<20))
	case ".parquet":
		rows, dim, err = readParquet(f)
	default:
		err = fmt.Errorf("files of %q are not known: fvecs, bvecs, ivecs, npy, jsonl, parquet", ending)
	}
	if err == nil && len(rows) == 0 {
		err = errors.New("no rows")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	for i, x := range rows {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, 0, fmt.Errorf("%s: row %d holds %v", name, i/dim, x)
		}
	}
	return rows, dim, nil
}

func readVecs(in io.Reader, kind byte) (rows []float32, dim int, err error) {
	size := 4
	if kind == 'b' {
		size = 1
	}
	var head [4]byte
	var row []byte
	for {
		if _, err := io.ReadFull(in, head[:]); errors.Is(err, io.EOF) {
			return rows, dim, nil
		} else if err != nil {
			return nil, 0, err
		}
		d := int(binary.LittleEndian.Uint32(head[:]))
		if dim == 0 {
			if d < 1 || d > vector.MaxDim {
				return nil, 0, fmt.Errorf("%d dimensions", d)
			}
			dim, row = d, make([]byte, d*size)
		}
		if d != dim {
			return nil, 0, fmt.Errorf("row %d has %d dimensions, not %d", len(rows)/dim, d, dim)
		}
		if _, err := io.ReadFull(in, row); err != nil {
			return nil, 0, fmt.Errorf("row %d: %w", len(rows)/dim, err)
		}
		for i := range dim {
			switch kind {
			case 'b':
				rows = append(rows, float32(row[i]))
			case 'i':
				rows = append(rows, float32(int32(binary.LittleEndian.Uint32(row[4*i:]))))
			default:
				rows = append(rows, math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:])))
			}
		}
	}
}

func readNumpy(f io.Reader) (rows []float32, dim int, err error) {
	in, err := npy.NewReader(f)
	if err != nil {
		return nil, 0, err
	}
	shape := in.Header.Descr.Shape
	if len(shape) != 2 || in.Header.Descr.Fortran {
		return nil, 0, fmt.Errorf("an array of shape %v, not of rows", shape)
	}
	switch kind := in.Header.Descr.Type; strings.TrimLeft(kind, "<|=") {
	case "f4":
		err = in.Read(&rows)
	case "f8":
		rows, err = readAs[float64](in)
	case "u1":
		rows, err = readAs[uint8](in)
	case "i1":
		rows, err = readAs[int8](in)
	default:
		err = fmt.Errorf("an array of %s", kind)
	}
	return rows, shape[1], err
}

func readAs[T float64 | uint8 | int8](in *npy.Reader) ([]float32, error) {
	var values []T
	if err := in.Read(&values); err != nil {
		return nil, err
	}
	rows := make([]float32, len(values))
	for i, v := range values {
		rows[i] = float32(v)
	}
	return rows, nil
}

func readLines(in io.Reader) (rows []float32, dim int, err error) {
	dec := json.NewDecoder(in)
	for n := 0; ; n++ {
		var line json.RawMessage
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			return rows, dim, nil
		} else if err != nil {
			return nil, 0, err
		}
		row, err := lineVector(line)
		if err != nil {
			return nil, 0, fmt.Errorf("row %d: %w", n, err)
		}
		if dim == 0 {
			dim = len(row)
		}
		if len(row) != dim || dim == 0 {
			return nil, 0, fmt.Errorf("row %d has %d dimensions, not %d", n, len(row), dim)
		}
		rows = append(rows, row...)
	}
}

func lineVector(line json.RawMessage) (row []float32, err error) {
	if json.Unmarshal(line, &row) == nil {
		return row, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, err
	}
	for _, value := range fields {
		var candidate []float32
		if json.Unmarshal(value, &candidate) != nil || candidate == nil {
			continue
		}
		if row != nil {
			return nil, errors.New("two arrays of numbers")
		}
		row = candidate
	}
	if row == nil {
		return nil, errors.New("no array of numbers")
	}
	return row, nil
}

func readParquet(f *os.File) (rows []float32, dim int, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		return nil, 0, err
	}
	column := -1
	for i, path := range file.Schema().Columns() {
		leaf, ok := file.Schema().Lookup(path...)
		if ok && leaf.MaxRepetitionLevel == 1 && (leaf.Node.Type().Kind() == parquet.Float || leaf.Node.Type().Kind() == parquet.Double) {
			column = i
			break
		}
	}
	if column < 0 {
		return nil, 0, errors.New("no column of lists of floats")
	}
	for _, group := range file.RowGroups() {
		if rows, dim, err = appendGroup(rows, dim, group, column); err != nil {
			return nil, 0, err
		}
	}
	return rows, dim, nil
}

func appendGroup(rows []float32, dim int, group parquet.RowGroup, column int) ([]float32, int, error) {
	in := group.Rows()
	defer in.Close()
	buffer := make([]parquet.Row, 256)
	for {
		n, err := in.ReadRows(buffer)
		for _, row := range buffer[:n] {
			before := len(rows)
			for _, v := range row {
				if v.Column() != column || v.IsNull() {
					continue
				}
				if v.Kind() == parquet.Double {
					rows = append(rows, float32(v.Double()))
				} else {
					rows = append(rows, v.Float())
				}
			}
			if dim == 0 {
				dim = len(rows)
			}
			if len(rows)-before != dim || dim == 0 {
				return nil, 0, fmt.Errorf("a row has %d dimensions, not %d", len(rows)-before, dim)
			}
		}
		if errors.Is(err, io.EOF) {
			return rows, dim, nil
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// hashed computes the SHA-256 of what is read through it.
type hashed struct {
	r   io.Reader
	sha interface {
		io.Writer
		Sum(b []byte) []byte
	}
}

func newHashed(r io.Reader) *hashed { return &hashed{r, sha256.New()} }

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.sha.Write(p[:n])
	return n, err
}

// sum reads what is left and returns the hash of all.
func (h *hashed) sum() (string, error) {
	_, err := io.Copy(io.Discard, h)
	return hex.EncodeToString(h.sha.Sum(nil)), err
}
