package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/selkiedb/selkie/wal"
)

// FuzzReplay replays a log file made of a valid header and arbitrary bytes, into which frames with valid header
// checksums and arbitrary fields are written, and a log of raw bytes. Replay must not panic, must not allocate more
// than the file's size and a read buffer, and must deliver dense LSNs.
func FuzzReplay(f *testing.F) {
	f.Add([]byte("body"), []byte{})
	f.Add([]byte{}, binary.LittleEndian.AppendUint64(nil, 1))
	s := newFileSpec(8 << 10)
	off := s.put(wal.FileHeaderLen, wal.TestFrame{Kind: wal.KindDataFrame, LSN: 1, Durable: wal.FileHeaderLen}, []byte("payload"))
	s.put(off, wal.TestFrame{Kind: wal.KindMarkFrame, LSN: 1, Durable: uint64(off)}, nil)
	f.Add(s.b[wal.FileHeaderLen:], []byte{})
	f.Add([]byte("x"), []byte{
		1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0,
		1, 0, 2, 6, 0, 9, 0, 0, 0, 0, 0, 0,
		2, 0, 2, 12, 0, 0, 0, 0, 0, 0, 0, 0,
	})
	f.Fuzz(func(t *testing.T, body, script []byte) {
		if len(body) > 64<<10 || len(script) > 4<<10 {
			return
		}
		size := int64(wal.FileHeaderLen + len(body) + 4096)
		spec := newFileSpec(size)
		copy(spec.b[wal.FileHeaderLen:], body)
		// A script entry: kind, position in eights (2), lsn, durable in eights (2), length (4), which CRC, spare.
		for ; len(script) >= 12; script = script[12:] {
			off := wal.FileHeaderLen + 8*int64(binary.LittleEndian.Uint16(script[3:]))
			if off+wal.FrameHeaderLen > size {
				continue
			}
			length := int64(binary.LittleEndian.Uint32(script[5:]))
			fr := wal.TestFrame{
				Kind: script[0], LSN: uint64(script[2]), Salt: testSalt, Length: uint32(length),
				Durable: wal.FileHeaderLen + 8*uint64(binary.LittleEndian.Uint16(script[9:])),
			}
			if end := off + wal.FrameHeaderLen + length; script[1] == 0 && end <= size {
				fr.PayloadCRC = wal.Checksum(spec.b[off+wal.FrameHeaderLen : end])
			}
			copy(spec.b[off:], wal.AppendFrame(nil, off, fr))
		}
		replayImage(t, spec.b)
		replayImage(t, body)
		if len(body) >= wal.FileHeaderLen { // a header block with arbitrary contents and the right checksum
			b := bytes.Clone(body)
			binary.LittleEndian.PutUint32(b[4092:], wal.Checksum(b[:4092]))
			replayImage(t, b)
		}
	})
}

func replayImage(t *testing.T, b []byte) {
	fs := images{"000001.wal": b}.fs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	next := uint64(0)
	l, err := wal.Open(wal.Options{FS: fs, Dir: "wal", FirstSeq: 1, ReadOnly: true}, 0, func(lsn uint64, p []byte) error {
		if next != 0 && lsn != next {
			t.Fatalf("lsn %d instead of %d", lsn, next)
		}
		next = lsn + 1
		return nil
	})
	runtime.ReadMemStats(&after)
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4*len(b)+2<<20); got > limit {
		t.Fatalf("allocated %d bytes for a file of %d", got, len(b))
	}
	if err != nil {
		if !errors.Is(err, wal.ErrCorrupt) && !errors.Is(err, wal.ErrVersion) {
			t.Fatal(err)
		}
		return
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
