package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Lost is a stretch of a log file that Salvage could not read.
type Lost struct {
	Path     string
	From, To int64 // file offsets
	Err      error // what is there
}

// Salvage reads what can be read of a log that Open refuses. It calls fn for each whole record, in the order of the files and of their places in
// them, and lost for each stretch in between that holds something and no record: damage, a tail that was torn before it was acknowledged, or what
// a file that was written anew held before.
// Every frame says of itself which place of which file it is for, so damage costs the frames that it touches and no others. The
// payload is valid during the call. It changes no byte. The error is fn's, ctx's, or one of reading the directory.
func Salvage(ctx context.Context, fs vfs.FS, dir string, fn func(lsn uint64, payload []byte) error, lost func(Lost)) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("wal: list %s: %w", dir, err)
	}
	var seqs []uint64
	for _, name := range names {
		if seq, ok := parseFileName(name); ok {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	last := uint64(0)
	missing := func(seq uint64) { lost(Lost{fs.PathJoin(dir, fileName(seq)), 0, 0, errors.New("the file is missing")}) }
	for i, seq := range seqs {
		if i > 0 {
			for gone := seqs[i-1] + 1; gone < seq; gone++ {
				missing(gone)
			}
		}
		s := salvager{path: fs.PathJoin(dir, fileName(seq)), fn: fn, lost: lost, before: last}
		if err := s.file(ctx, fs); err != nil {
			return err
		}
		if s.next > 0 {
			last = s.next - 1
		}
		if s.rotated && i == len(seqs)-1 {
			missing(seq + 1)
		}
	}
	return nil
}

type salvager struct {
	path string
	fn   func(lsn uint64, payload []byte) error
	lost func(Lost)
	win  window

	salt uint64 // 0 until it is known
	next uint64 // an LSN below it is that of a frame of a file before this one's time

	before  uint64 // the last LSN read of the files before; 0: none
	rotated bool   // it says that the next file exists
}

func (s *salvager) file(ctx context.Context, fs vfs.FS) error {
	f, err := fs.Open(s.path)
	if err != nil {
		s.lost(Lost{s.path, 0, 0, err})
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		s.lost(Lost{s.path, 0, 0, err})
		return nil
	}
	size := info.Size()
	s.win.reset(f, size)
	from := min(size, fileHeaderLen)
	if b, err := s.win.at(0, from); err != nil {
		s.lost(Lost{s.path, 0, from, err})
	} else if h, err := decodeFileHeader(b); err != nil {
		s.lost(Lost{s.path, 0, from, err})
	} else {
		s.salt = h.salt
		if h.size != size {
			s.lost(Lost{s.path, min(size, h.size), max(size, h.size), fmt.Errorf("the file has %d bytes instead of %d", size, h.size)})
		}
		if s.before > 0 && h.prev.lsn > s.before {
			s.lost(Lost{s.path, 0, 0, fmt.Errorf("the file before it ended with LSN %d, the last read is %d", h.prev.lsn, s.before)})
		}
	}
	bad := int64(-1) // where a stretch without a frame begins
	end := func(at int64) {
		if bad >= 0 {
			s.lost(Lost{s.path, bad, at, errors.New("no whole record of this file")})
		}
		bad = -1
	}
	for at := from; at+frameHeaderLen <= size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		span, zero, err := s.frame(at, size)
		switch {
		case err != nil:
			return err
		case span > 0:
			end(at)
			at += span
			continue
		case !zero && bad < 0:
			bad = at
		}
		at += frameAlign
	}
	end(size)
	return nil
}

// frame hands on the record whose frame stands at the offset. span is 0 if there is no whole frame; zero says that the place is empty.
func (s *salvager) frame(at, size int64) (span int64, zero bool, err error) {
	head, rerr := s.win.at(at, frameHeaderLen)
	if rerr != nil {
		return 0, false, nil // the stretch is lost
	}
	salt := binary.LittleEndian.Uint64(head[frameSaltAt:])
	if salt == 0 || s.salt != 0 && salt != s.salt {
		return 0, allZero(head[:frameAlign]), nil
	}
	fr, ok := decodeFrameHeader(head, at, salt)
	if !ok || fr.span() > size-at || fr.kind == 0 || fr.kind > kindRotate {
		return 0, false, nil
	}
	if fr.kind != kindData {
		s.rotated = s.rotated || fr.kind == kindRotate
		return fr.span(), false, nil
	}
	b, rerr := s.win.at(at, fr.span())
	if rerr != nil {
		return 0, false, nil
	}
	payload := b[frameHeaderLen:][:fr.length:fr.length]
	if checksum(payload) != fr.payloadCRC || fr.lsn < s.next {
		return 0, false, nil
	}
	s.salt, s.next = salt, fr.lsn+1
	return fr.span(), false, s.fn(fr.lsn, payload)
}
