package dataset

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/selkiedb/selkie/vector"
)

const (
	fashionPackage = "dataset-fashion-mnist"
	fashionFolder  = "usr/share/datasets/fashion-mnist"
	fashionTrain   = "train-images-idx3-ubyte.gz"
	fashionTest    = "t10k-images-idx3-ubyte.gz"
)

// fashion reads Fashion-MNIST: pictures of 28 × 28 grey values, 60,000 rows, and 2,000 random ones of the 10,000 test
// pictures as queries. Debian has them in a package; it need not be installed.
func fashion(ctx context.Context, o *Options) (*raw, error) {
	folder := o.From
	if folder == "" {
		folder = "/" + fashionFolder
		if _, err := os.Stat(filepath.Join(folder, fashionTrain)); err != nil {
			dir, err := os.MkdirTemp("", "selkie-bench-")
			if err != nil {
				return nil, err
			}
			defer os.RemoveAll(dir)
			o.Log("fashion: apt-get download %s", fashionPackage)
			if err := unpackDebian(ctx, dir); err != nil {
				return nil, fmt.Errorf("%w; or name the folder of %s with -from", err, fashionTrain)
			}
			folder = filepath.Join(dir, fashionFolder)
		}
	}
	base, dim, err := readIDX(filepath.Join(folder, fashionTrain))
	if err != nil {
		return nil, err
	}
	tests, testDim, err := readIDX(filepath.Join(folder, fashionTest))
	if err != nil {
		return nil, err
	}
	if dim != testDim {
		return nil, fmt.Errorf("rows of %d and queries of %d pixels", dim, testDim)
	}
	var queries []float32
	for _, i := range rand.New(rand.NewPCG(42, 0)).Perm(len(tests) / dim)[:heldOut] {
		queries = append(queries, tests[i*dim:(i+1)*dim]...)
	}
	return &raw{
		name: "fashion", metric: vector.L2, dim: dim, base: whole(base), queries: queries,
		source:  "Fashion-MNIST (Zalando SE 2017) as in Debian package " + fashionPackage + "; the pixels of the 60,000 training pictures, 2,000 random test pictures as queries",
		licence: "MIT",
	}, nil
}

func unpackDebian(ctx context.Context, dir string) error {
	if err := command(ctx, dir, "apt-get", "download", "-q", fashionPackage); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(dir, fashionPackage+"_*.deb"))
	if err != nil || len(packages) != 1 {
		return errors.Join(err, fmt.Errorf("apt-get download left %d packages", len(packages)))
	}
	return command(ctx, dir, "dpkg-deb", "-x", packages[0], dir)
}

// readIDX reads a file of pictures of unsigned bytes: big-endian magic 0x803, number, height, width, pixels.
func readIDX(name string) (rows []float32, dim int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	in, err := gzip.NewReader(f)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	var head [4]uint32
	if err := binary.Read(in, binary.BigEndian, &head); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	const most = 1 << 28
	n, pixels := uint64(head[1]), uint64(head[2])*uint64(head[3])
	if head[0] != 0x803 || pixels == 0 || pixels > vector.MaxDim || n*pixels > most {
		return nil, 0, fmt.Errorf("%s: no file of pictures", name)
	}
	raw := make([]byte, n*pixels)
	if _, err := io.ReadFull(in, raw); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	rows = make([]float32, len(raw))
	for i, b := range raw {
		rows[i] = float32(b)
	}
	return rows, int(pixels), nil
}
