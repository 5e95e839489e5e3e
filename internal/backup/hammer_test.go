package backup_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/selkiedb/selkie/internal/backup"
	"github.com/selkiedb/selkie/internal/hammertest"
)

func TestHammerRead(t *testing.T) {
	raw := written(t, backup.Header{ID: 1, Base: 2}, map[string][]byte{"a": {1, 2, 3}, "b/c": make([]byte, 2000)}, backup.Entry{Path: "old"})
	hammertest.Run(t, hammertest.Decoder{Seeds: [][]byte{raw, written(t, backup.Header{}, nil)}, PerInput: 2 << 20, PerByte: 64, Slow: 20, Try: func(b []byte) bool {
		c, err := backup.Read(context.Background(), bytes.NewReader(b), backup.Discard{})
		if err == nil && c.Bytes != int64(len(b)) {
			t.Fatalf("%d bytes of %d", c.Bytes, len(b))
		}
		var damage *backup.CorruptionError
		if err != nil && !errors.Is(err, backup.ErrVersion) && (!errors.As(err, &damage) || damage.Offset < 0 || damage.Offset > int64(len(b))) {
			t.Fatal(err)
		}
		return err == nil
	}})
}
