package wal_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/selkiedb/selkie/internal/hammertest"
	"github.com/selkiedb/selkie/wal"
)

// TestHammerReplay spoils log files; every second one gets the checksums of its headers mended.
func TestHammerReplay(t *testing.T) {
	const size = 8 << 10
	s := newFileSpec(size)
	off := s.put(wal.FileHeaderLen, wal.TestFrame{Kind: wal.KindDataFrame, LSN: 1, Durable: wal.FileHeaderLen}, []byte("payload"))
	off = s.put(off, wal.TestFrame{Kind: wal.KindMarkFrame, LSN: 1, Durable: uint64(off)}, nil)
	end := s.put(off, wal.TestFrame{Kind: wal.KindDataFrame, LSN: 2, Durable: uint64(off)}, make([]byte, 100))
	body := s.b[wal.FileHeaderLen:end]
	n := 0
	hammertest.Run(t, hammertest.Decoder{Seeds: [][]byte{body}, PerInput: 2 << 20, PerByte: 8, Slow: 10, Try: func(b []byte) bool {
		image := newFileSpec(size).b
		copy(image[wal.FileHeaderLen:], b)
		if n++; n%2 == 0 {
			mendFrames(image)
		}
		next := uint64(0)
		l, err := wal.Open(wal.Options{FS: images{"000001.wal": image}.fs(), Dir: "wal", FirstSeq: 1, ReadOnly: true}, 0, func(lsn uint64, p []byte) error {
			if next != 0 && lsn != next {
				t.Fatalf("lsn %d instead of %d", lsn, next)
			}
			next = lsn + 1
			return nil
		})
		if err != nil {
			if !errors.Is(err, wal.ErrCorrupt) && !errors.Is(err, wal.ErrVersion) {
				t.Fatal(err)
			}
			return false
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return true
	}})
}

// mendFrames walks over a log's frames as their lengths say, and makes their checksums right.
func mendFrames(image []byte) {
	for off := int64(wal.FileHeaderLen); off+wal.FrameHeaderLen <= int64(len(image)); {
		h := image[off:]
		length := int64(binary.LittleEndian.Uint32(h[wal.FrameLengthAt:]))
		end := off + wal.FrameHeaderLen + length
		if end > int64(len(image)) {
			return
		}
		f := wal.TestFrame{
			Kind: h[wal.FrameKindAt], Length: uint32(length), Salt: testSalt, LSN: binary.LittleEndian.Uint64(h[wal.FrameLSNAt:]),
			Durable: binary.LittleEndian.Uint64(h[wal.FrameDurableAt:]), PayloadCRC: wal.Checksum(image[off+wal.FrameHeaderLen : end]),
		}
		copy(h, wal.AppendFrame(nil, off, f))
		off += wal.FrameSpan(length)
	}
}
