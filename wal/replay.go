package wal

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/errors/oserror"
)

// recovery is what replay learned about a log.
type recovery struct {
	files   []*file // of the chain, oldest first
	headers []fileHeader
	stale   []string // files below FirstSeq, oldest first
	temps   []string // files that were being prepared
	lastLSN uint64   // of the last record found, or what the last header says
	tail    link     // where the last file validly ends
	settled int64    // bytes of the last file that a sync is known to have covered
	vacant  bool     // the last file holds its header and zeros
}

// foundLSN is the last LSN that the files account for. The header of a last file without records may have jumped ahead.
func (r *recovery) foundLSN() uint64 {
	if n := len(r.headers); n > 0 {
		return max(r.lastLSN, r.headers[n-1].firstLSN-1)
	}
	return r.lastLSN
}

// recoverer replays a log.
//
// The chain of files is checked first, by the headers alone: no record is delivered from a log with a missing or
// foreign file. Then each file is read once, forward:
//  1. A valid frame is one whose salt, header checksum, payload checksum and padding are right.
//  2. In a file with a successor, valid frames must run to exactly the end its successor's header names, with the
//     chain named there. What follows was never acknowledged and is ignored.
//  3. In the last file, the first offset X without a valid frame ends the log. If any frame with a valid header
//     behind X carries a durable offset beyond X, then X was durable once: corruption. Otherwise it is a torn tail, or what
//     the file held before it was recycled.
//  4. A valid header with impossible contents is corruption: no crash produces it.
type recoverer struct {
	opts   Options
	from   uint64
	replay func(lsn uint64, payload []byte) error
	win    window
	rec    recovery
}

func (r *recoverer) path(name string) string { return r.opts.FS.PathJoin(r.opts.Dir, name) }

func (r *recoverer) run() error {
	if err := r.list(); err != nil {
		return err
	}
	for i, f := range r.rec.files {
		h, err := r.readHeader(f)
		if err != nil {
			return err
		}
		if i > 0 {
			if prev := r.rec.headers[i-1]; h.prev.end < fileHeaderLen || h.prev.end > prev.size {
				return corrupt(f.path, headerPrevEndAt, KindChain, "file %d cannot end at %d", prev.seq, h.prev.end)
			}
		}
		r.rec.headers = append(r.rec.headers, h)
	}
	for i := range r.rec.files {
		err := r.replayFile(i)
		if r.opts.ReadOnly && errors.Is(err, ErrStop) {
			r.rec.files, r.rec.headers = r.rec.files[:i+1], r.rec.headers[:i+1]
			r.rec.lastLSN = r.rec.files[i].lastLSN
			return nil
		}
		if err != nil {
			return err
		}
	}
	if found := r.rec.foundLSN(); found < r.opts.HeldLSN {
		path, end := r.opts.Dir, int64(0)
		if n := len(r.rec.files); n > 0 {
			path, end = r.rec.files[n-1].path, r.rec.tail.end
		}
		return corrupt(path, end, KindEnd, "the log ends at lsn %d, it held %d", found, r.opts.HeldLSN)
	}
	return nil
}

// list finds the files of the chain and checks that none is missing.
func (r *recoverer) list() error {
	names, err := r.opts.FS.List(r.opts.Dir)
	if err != nil {
		if r.opts.ReadOnly && oserror.IsNotExist(err) {
			names = nil
		} else {
			return fmt.Errorf("wal: list %s: %w", r.opts.Dir, err)
		}
	}
	var seqs []uint64
	for _, name := range names {
		if seq, ok := parseFileName(name); ok {
			seqs = append(seqs, seq)
		} else if strings.HasSuffix(name, tempSuffix) {
			r.rec.temps = append(r.rec.temps, name)
		}
	}
	slices.Sort(seqs)
	first := max(r.opts.FirstSeq, 1)
	for len(seqs) > 0 && seqs[0] < first {
		r.rec.stale = append(r.rec.stale, fileName(seqs[0]))
		seqs = seqs[1:]
	}
	if len(seqs) == 0 {
		if r.opts.FirstSeq == 0 {
			return nil
		}
		return &CorruptionError{Path: r.path(fileName(first)), Kind: KindMissing}
	}
	for i, seq := range seqs {
		if want := first + uint64(i); seq != want {
			return corrupt(r.path(fileName(want)), 0, KindMissing, "%s exists", fileName(seq))
		}
		r.rec.files = append(r.rec.files, &file{seq: seq, path: r.path(fileName(seq))})
	}
	return nil
}

// readHeader reads a file's header and checks what it says about the file itself.
func (r *recoverer) readHeader(f *file) (fileHeader, error) {
	fh, err := r.opts.FS.Open(f.path)
	if err != nil {
		return fileHeader{}, fmt.Errorf("wal: open %s: %w", f.path, err)
	}
	defer fh.Close()
	info, err := fh.Stat()
	if err != nil {
		return fileHeader{}, fmt.Errorf("wal: stat %s: %w", f.path, err)
	}
	if info.Size() < fileHeaderLen {
		return fileHeader{}, corrupt(f.path, info.Size(), KindSize, "%d bytes do not hold a header", info.Size())
	}
	r.win.reset(fh, info.Size())
	b, err := r.win.at(0, fileHeaderLen)
	if err != nil {
		return fileHeader{}, fmt.Errorf("wal: read %s: %w", f.path, err)
	}
	h, err := decodeFileHeader(b)
	switch {
	case errors.Is(err, ErrVersion):
		return h, fmt.Errorf("wal: %s: %w", f.path, err)
	case err != nil:
		return h, &CorruptionError{Path: f.path, Kind: KindHeader, Err: err}
	case h.seq != f.seq:
		return h, corrupt(f.path, headerSeqAt, KindHeader, "belongs to file %d", h.seq)
	case h.size != info.Size():
		return h, corrupt(f.path, min(h.size, info.Size()), KindSize, "%d bytes instead of %d", info.Size(), h.size)
	}
	f.size, f.lastLSN = h.size, h.prev.lsn
	return h, nil
}

// cursor is the state of reading one file's frames.
type cursor struct {
	off     int64
	chain   uint32
	lsn     uint64 // of the last record so far
	next    uint64 // LSN that the next record must have
	durable uint64
	rotated bool
}

// replayFile delivers the records of file i and sets where it ends.
func (r *recoverer) replayFile(i int) error {
	f, h := r.rec.files[i], r.rec.headers[i]
	last := i == len(r.rec.files)-1
	end := h.size
	if !last {
		end = r.rec.headers[i+1].prev.end
	}
	fh, err := r.opts.FS.Open(f.path)
	if err != nil {
		return fmt.Errorf("wal: open %s: %w", f.path, err)
	}
	defer fh.Close()
	r.win.reset(fh, h.size)

	c := cursor{off: fileHeaderLen, chain: h.crc, lsn: h.prev.lsn, next: h.firstLSN}
	if last && r.opts.DurableOnly {
		if end, err = r.durableEnd(f, h); err != nil {
			return err
		}
	}
	rest, err := r.walk(f, h, &c, end, last)
	f.off, f.lastLSN = c.off, c.lsn
	if err != nil {
		return err
	}
	if !last {
		next := r.rec.headers[i+1].prev
		if c.off != next.end || c.rotated {
			return corrupt(f.path, c.off, KindFrame, "the next file says that valid frames end at %d", next.end)
		}
		if c.chain != next.chain || c.lsn != next.lsn {
			return corrupt(f.path, c.off, KindChain, "ends with lsn %d and chain %08x, the next file follows %d and %08x",
				c.lsn, c.chain, next.lsn, next.chain)
		}
		if c.off+frameHeaderLen <= h.size {
			b, err := r.win.at(c.off, frameHeaderLen)
			if err != nil {
				return fmt.Errorf("wal: read %s: %w", f.path, err)
			}
			fr, ok := decodeFrameHeader(b, c.off, h.salt)
			f.rotated = ok && fr.kind == kindRotate
		}
		return nil
	}
	if c.rotated {
		return corrupt(r.path(fileName(f.seq+1)), 0, KindMissing, "%s says that it exists", fileName(f.seq))
	}
	if rest.nonZero {
		r.opts.Logger.Debug("wal: the log ends before what was written last, or for an earlier file", "file", f.path, "offset", c.off, "lsn", c.lsn)
	}
	r.rec.lastLSN = c.lsn
	r.rec.tail = link{seq: f.seq, lsn: c.lsn, end: c.off, chain: c.chain}
	r.rec.settled = max(fileHeaderLen, int64(c.durable))
	r.rec.vacant = c.off == fileHeaderLen && !rest.nonZero
	return nil
}

// walk delivers the records up to end, or, in the last file, to where the log ends, and tells what stands behind.
func (r *recoverer) walk(f *file, h fileHeader, c *cursor, end int64, last bool) (rest remainder, err error) {
	for {
		for c.off < end && !c.rotated {
			ok, err := r.step(f, h, c)
			if err != nil {
				return rest, err
			}
			if !ok {
				break
			}
		}
		if !last || c.rotated || r.opts.DurableOnly && c.off >= end {
			return rest, nil
		}
		if rest, err = r.win.scanRest(c.off, h.salt); err != nil {
			return rest, fmt.Errorf("wal: read %s: %w", f.path, err)
		}
		if rest.covering < 0 {
			return rest, nil
		}
		// Another process may have written both since the first of them was looked at.
		r.win.reset(r.win.f, h.size)
		if ok := r.opts.ReadOnly && r.written(c.off, h); !ok {
			return rest, corrupt(f.path, c.off, KindFrame, "the frame at %d knew %d bytes to be durable", rest.covering, rest.durable)
		}
	}
}

// written reports whether there is a valid frame at an offset.
func (r *recoverer) written(off int64, h fileHeader) bool {
	if off+frameHeaderLen > h.size {
		return false
	}
	head, err := r.win.at(off, frameHeaderLen)
	if err != nil {
		return false
	}
	fr, ok := decodeFrameHeader(head, off, h.salt)
	if !ok || fr.span() > h.size-off {
		return false
	}
	b, err := r.win.at(off, fr.span())
	return err == nil && checksum(b[frameHeaderLen:][:fr.length]) == fr.payloadCRC && allZero(b[frameHeaderLen+int(fr.length):])
}

// durableEnd is up to where the log says that a file is on disk. Nothing is delivered.
func (r *recoverer) durableEnd(f *file, h fileHeader) (int64, error) {
	dry := recoverer{opts: r.opts, from: math.MaxUint64}
	dry.win.reset(r.win.f, h.size)
	c := cursor{off: fileHeaderLen, chain: h.crc, lsn: h.prev.lsn, next: h.firstLSN}
	_, err := dry.walk(f, h, &c, h.size, true)
	r.win.reset(r.win.f, h.size)
	return max(fileHeaderLen, int64(c.durable)), err
}

// step reads the frame at the cursor. ok is false if there is no valid frame; an error says that the frame is
// well-formed and impossible, or that reading or delivering it failed.
func (r *recoverer) step(f *file, h fileHeader, c *cursor) (ok bool, err error) {
	if c.off+frameHeaderLen > h.size {
		return false, nil
	}
	head, err := r.win.at(c.off, frameHeaderLen)
	if err != nil {
		return false, fmt.Errorf("wal: read %s: %w", f.path, err)
	}
	fr, ok := decodeFrameHeader(head, c.off, h.salt)
	if !ok {
		return false, nil
	}
	switch {
	case fr.durable > uint64(c.off) || fr.durable < c.durable:
		return false, corrupt(f.path, c.off, KindSequence, "durable offset %d", fr.durable)
	case fr.span() > h.size-c.off:
		return false, corrupt(f.path, c.off, KindFrame, "length %d exceeds the file", fr.length)
	case fr.kind != kindData && (fr.kind > kindRotate || fr.kind == 0 || fr.length != 0):
		return false, corrupt(f.path, c.off, KindFrame, "kind %d with length %d", fr.kind, fr.length)
	case fr.kind == kindData && (fr.lsn != c.next || fr.lsn == math.MaxUint64):
		return false, corrupt(f.path, c.off, KindSequence, "lsn %d instead of %d", fr.lsn, c.next)
	case fr.kind != kindData && fr.lsn != c.lsn:
		return false, corrupt(f.path, c.off, KindSequence, "lsn %d after %d", fr.lsn, c.lsn)
	}
	if fr.kind == kindRotate {
		// It stands behind the end that the next header names, and is not part of the chain.
		c.rotated = true
		return true, nil
	}
	chain := chainFrame(c.chain, head) // before the window slides
	if fr.kind == kindData {
		b, err := r.win.at(c.off, fr.span())
		if err != nil {
			return false, fmt.Errorf("wal: read %s: %w", f.path, err)
		}
		payload := b[frameHeaderLen:][:fr.length:fr.length]
		if checksum(payload) != fr.payloadCRC || !allZero(b[frameHeaderLen+int(fr.length):]) {
			return false, nil
		}
		if r.opts.FirstSeq == 0 {
			return false, corrupt(f.path, c.off, KindSequence, "record %d in a log that should be new", fr.lsn)
		}
		if fr.lsn > r.from {
			if err := r.replay(fr.lsn, payload); err != nil {
				return false, fmt.Errorf("wal: replay record %d: %w", fr.lsn, err)
			}
		}
		c.lsn, c.next = fr.lsn, fr.lsn+1
	}
	c.off += fr.span()
	c.chain, c.durable = chain, fr.durable
	return true, nil
}
