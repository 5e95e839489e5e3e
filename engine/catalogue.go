package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The catalogue is the durable list of what exists. It is a file of edits, each synced before the next is written:
//
//	header  64 bytes  magic "SELKCAT1" | version uint32 | 0 uint32 | sequence uint64 | salt uint64 | zeros | CRC-32C uint32
//	mark    64 bytes  end uint64: bytes known to be synced | salt uint64 | zeros | CRC-32C uint32
//	frames            length uint32 | CRC-32C uint32 | number uint64 | salt uint64 | edit | zeros to a multiple of 8
//
// The first frame is the whole state. A frame's CRC covers number, salt and edit. The mark is written in place after a frame was
// synced, and not synced itself: it survives a killed process, and an orderly close syncs it. A frame that cannot be read below
// the mark's end is damage; one at or beyond it is an edit that was never acknowledged.
//
// A file that has grown large is replaced by a new one with the next sequence: written whole under another name, synced, renamed, and
// the directory synced, before the old one is removed. The file with the largest sequence is the truth.
const (
	cataloguePrefix = "CATALOGUE-"
	catalogueMagic  = "SELKCAT1"
	catHeaderLen    = 64
	catMarkAt       = 64
	catFramesAt     = 128
	catFrameHeader  = 24
	maxEdit         = 1 << 30

	defaultCatalogueBytes = 1 << 20 // a file is not rewritten below this size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type catalogue struct {
	fs      vfs.FS
	dir     string
	failed  func(err error) // told, with mu held, when the catalogue is poisoned
	rewrite int64           // least size at which the file is rewritten
	warn    func(msg string, err error)

	opened uint64        // the place of the last edit that was read when the file was opened
	last   atomic.Uint64 // the place of the last edit that changed more than what is said of the log

	mu     sync.Mutex // guards what follows, and orders commits; partition locks may be held around it, none is taken under it
	file   vfs.File
	seq    uint64
	salt   uint64
	end    int64 // where the next frame goes
	number uint64
	base   int64 // size of the file's first frame
	broken error // an edit may or may not be durable: no more are written
	state  *state
}

// place orders edits: first by the file, then by their number in it.
func (c *catalogue) place() uint64 { return c.seq<<32 | c.number }

func catalogueName(seq uint64) string { return fmt.Sprintf("%s%06d", cataloguePrefix, seq) }

// catalogues lists the sequences of the catalogue files in a directory, ascending.
func catalogues(names []string) []uint64 {
	var seqs []uint64
	for _, n := range names {
		s, ok := strings.CutPrefix(n, cataloguePrefix)
		if !ok {
			continue
		}
		if seq, err := strconv.ParseUint(s, 10, 64); err == nil && catalogueName(seq) == n {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

// openCatalogue reads the newest catalogue of a directory. It returns nil if there is none.
func openCatalogue(fs vfs.FS, dir string, rewrite int64, warn func(msg string, err error)) (c *catalogue, torn bool, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, false, err
	}
	seqs := catalogues(names)
	if len(seqs) == 0 {
		return nil, false, nil
	}
	seq := seqs[len(seqs)-1]
	c = &catalogue{fs: fs, dir: dir, seq: seq, state: newState(), rewrite: rewrite, warn: warn}
	path := fs.PathJoin(dir, catalogueName(seq))
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return nil, false, err
	}
	raw, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, false, err
	}
	torn, err = c.read(path, raw)
	return c, torn, err
}

// read applies every edit of the file. torn tells that its end may not be on disk: it was never acknowledged, or the mark does not
// cover it. What recovery does relies on all that was read, so the caller writes it anew first.
func (c *catalogue) read(path string, raw []byte) (torn bool, err error) {
	damage := func(at int64, kind, format string, args ...any) error {
		return &CorruptionError{Path: path, Offset: at, Kind: kind, Err: fmt.Errorf(format, args...)}
	}
	if len(raw) < catFramesAt {
		return false, damage(int64(len(raw)), "size", "%d bytes, at least %d were written", len(raw), catFramesAt)
	}
	head := raw[:catHeaderLen]
	if string(head[:8]) != catalogueMagic {
		return false, damage(0, "format", "not a catalogue")
	}
	if crc32.Checksum(head[:60], castagnoli) != binary.LittleEndian.Uint32(head[60:]) {
		return false, damage(0, "checksum", "the header's checksum does not match")
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != 1 {
		return false, fmt.Errorf("%w: catalogue %s has format version %d; this program reads 1", ErrVersion, path, v)
	}
	if seq := binary.LittleEndian.Uint64(head[16:]); seq != c.seq {
		return false, damage(16, "identity", "the file is catalogue %d under another name", seq)
	}
	c.salt = binary.LittleEndian.Uint64(head[24:])
	mark, markOK := c.readMark(raw[catMarkAt:catFramesAt])
	at := int64(catFramesAt)
	for at < int64(len(raw)) {
		payload, size, ferr := c.frame(raw[at:])
		if ferr != nil {
			if !markOK || at < mark {
				return false, damage(at, "checksum", "edit %d: %w", c.number+1, ferr)
			}
			torn = true
			break
		}
		e, err := decodeEdit(payload)
		if errors.Is(err, ErrVersion) {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		if err != nil {
			return false, damage(at, "format", "edit %d: %w", c.number+1, err)
		}
		if e.whole != (c.number == 0) {
			return false, damage(at, "format", "edit %d is out of place", c.number+1)
		}
		if err := c.state.check(e); err != nil {
			return false, damage(at, "format", "edit %d: %w", c.number+1, err)
		}
		c.state.apply(e)
		c.number++
		c.applied(e)
		at += size
		if c.number == 1 {
			c.base = size
		}
	}
	if markOK && at < mark {
		return false, damage(at, "size", "the file ends at %d, %d bytes were synced", at, mark)
	}
	if c.number == 0 {
		return false, damage(catFramesAt, "format", "the catalogue holds no edit")
	}
	c.end, c.opened = at, c.place()
	return torn || !markOK || mark < at, nil
}

func (c *catalogue) applied(e *edit) {
	if !e.onlyLog() {
		c.last.Store(c.place())
	}
}

func (c *catalogue) readMark(b []byte) (end int64, ok bool) {
	if crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) || binary.LittleEndian.Uint64(b[8:]) != c.salt {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint64(b)), true
}

// frame reads the frame at the start of b.
func (c *catalogue) frame(b []byte) (payload []byte, size int64, err error) {
	if len(b) < catFrameHeader {
		return nil, 0, fmt.Errorf("%d bytes are no frame", len(b))
	}
	n := int64(binary.LittleEndian.Uint32(b))
	size = (catFrameHeader + n + 7) &^ 7
	if n > maxEdit || size > int64(len(b)) {
		return nil, 0, fmt.Errorf("a length of %d with %d bytes left", n, len(b))
	}
	if crc32.Checksum(b[8:catFrameHeader+n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0, errors.New("checksum does not match")
	}
	if number := binary.LittleEndian.Uint64(b[8:]); number != c.number+1 {
		return nil, 0, fmt.Errorf("number %d, %d expected", number, c.number+1)
	}
	if binary.LittleEndian.Uint64(b[16:]) != c.salt {
		return nil, 0, errors.New("the frame is of another file")
	}
	for _, z := range b[catFrameHeader+n : size] {
		if z != 0 {
			return nil, 0, errors.New("padding is not zero")
		}
	}
	return slices.Clone(b[catFrameHeader : catFrameHeader+n]), size, nil
}

func (c *catalogue) appendFrame(dst, payload []byte, number uint64) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, number)
	dst = binary.LittleEndian.AppendUint64(dst, c.salt)
	dst = append(dst, payload...)
	binary.LittleEndian.PutUint32(dst[at+4:], crc32.Checksum(dst[at+8:], castagnoli))
	for len(dst)%8 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

func (c *catalogue) encodeMark(end int64) []byte {
	b := make([]byte, catFramesAt-catMarkAt)
	binary.LittleEndian.PutUint64(b, uint64(end))
	binary.LittleEndian.PutUint64(b[8:], c.salt)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// startFile writes the whole state as a new file and makes it the truth.
//
//  1. write and sync it under another name
//  2. rename it, sync the directory. Commit point: the directory is synced
//  3. remove the older ones
//
// An error before the rename leaves the older file in use. After one in 2 either file may be the truth at the next open, so the
// catalogue takes no more edits.
func (c *catalogue) startFile() error {
	payload, err := c.state.snapshot().encode()
	if err != nil {
		return err
	}
	next := &catalogue{seq: c.seq + 1, salt: rand.Uint64()}
	head := make([]byte, catHeaderLen)
	copy(head, catalogueMagic)
	binary.LittleEndian.PutUint32(head[8:], 1)
	binary.LittleEndian.PutUint64(head[16:], next.seq)
	binary.LittleEndian.PutUint64(head[24:], next.salt)
	binary.LittleEndian.PutUint32(head[60:], crc32.Checksum(head[:60], castagnoli))
	frame := next.appendFrame(nil, payload, 1)
	end := int64(catFramesAt + len(frame))
	raw := slices.Concat(head, next.encodeMark(end), frame)

	path := c.fs.PathJoin(c.dir, catalogueName(next.seq))
	tmp := path + ".tmp"
	f, err := c.fs.OpenReadWrite(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(raw, 0); err != nil {
		return errors.Join(err, f.Close(), c.fs.Remove(tmp))
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close(), c.fs.Remove(tmp))
	}
	err = c.fs.Rename(tmp, path)
	if err == nil {
		err = syncDir(c.fs, c.dir)
	}
	if err != nil {
		return errors.Join(c.poison("replacing the catalogue", err), f.Close())
	}
	old := c.file
	c.file, c.seq, c.salt, c.end, c.number, c.base = f, next.seq, next.salt, end, 1, int64(len(frame))
	if old != nil {
		err = old.Close()
	}
	return errors.Join(err, c.removeOld())
}

func (c *catalogue) removeOld() error {
	names, err := c.fs.List(c.dir)
	if err != nil {
		return err
	}
	synced := false
	for _, n := range names {
		tmp := strings.HasPrefix(n, cataloguePrefix) && strings.HasSuffix(n, ".tmp")
		if seqs := catalogues([]string{n}); tmp || len(seqs) == 1 && seqs[0] < c.seq {
			if !synced { // a process that was killed may have renamed the newest, and no more
				if err := syncDir(c.fs, c.dir); err != nil {
					return err
				}
				synced = true
			}
			err = errors.Join(err, c.fs.Remove(c.fs.PathJoin(c.dir, n)))
		}
	}
	return err
}

// resume opens the file that was read for writing.
func (c *catalogue) resume() error {
	f, err := c.fs.OpenReadWrite(c.fs.PathJoin(c.dir, catalogueName(c.seq)), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	c.file = f
	return c.removeOld()
}

// poison ends the catalogue's writing: what is on disk is not known.
func (c *catalogue) poison(what string, err error) error {
	c.broken = fmt.Errorf("%w: %s: %w", ErrPoisoned, what, err)
	c.failed(c.broken)
	return c.broken
}

// commit makes an edit durable, then part of the state. Commit point: its frame is synced. ErrDiskFull leaves the catalogue as it was
// and the edit may be tried again; another write or a sync that fails leaves it unknown, and the catalogue takes no more.
func (c *catalogue) commit(e *edit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commitLocked(e)
}

func (c *catalogue) commitLocked(e *edit) error {
	if c.broken != nil {
		return c.broken
	}
	if c.file == nil {
		return ErrReadOnly
	}
	if err := c.state.check(e); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	payload, err := e.encode()
	if err != nil {
		return err
	}
	if len(payload) > min(maxEdit, math.MaxInt32) {
		return fmt.Errorf("catalogue edit of %d bytes, at most %d", len(payload), maxEdit)
	}
	frame := c.appendFrame(nil, payload, c.number+1)
	if _, err := c.file.WriteAt(frame, c.end); err != nil {
		if isDiskFull(err) { // a part of the frame at most is there, and the next one overwrites it
			return fmt.Errorf("catalogue: %w", err)
		}
		return c.poison("writing the catalogue", err)
	}
	if err := c.file.SyncData(); err != nil {
		return c.poison("syncing the catalogue", err)
	}
	c.state.apply(e)
	c.end += int64(len(frame))
	c.number++
	c.applied(e)
	if _, err := c.file.WriteAt(c.encodeMark(c.end), catMarkAt); err != nil {
		_ = c.poison("writing the catalogue's mark", err) // the edit itself is durable
		return nil
	}
	if c.end > c.rewrite && c.end > 4*c.base {
		if err := c.startFile(); err != nil { // the edit is durable all the same; the next one tries again
			c.warn("rewriting the catalogue", err)
		}
	}
	return nil
}

// view gives fn the state; it must not keep it.
func (c *catalogue) view(fn func(s *state)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(c.state)
}

// copyTo writes the file as it is now, under its name, into another directory, and gives fn the state that it holds. Edits wait meanwhile.
func (c *catalogue) copyTo(dir string, fn func(s *state)) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.broken
	}
	raw := make([]byte, c.end)
	if _, err := c.file.ReadAt(raw, 0); err != nil {
		return err
	}
	copy(raw[catMarkAt:], c.encodeMark(c.end))
	f, err := c.fs.Create(c.fs.PathJoin(dir, catalogueName(c.seq)), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(raw); err != nil {
		return err
	}
	fn(c.state)
	return f.Sync()
}

// close syncs the mark.
func (c *catalogue) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return nil
	}
	err := errors.Join(c.file.Sync(), c.file.Close())
	c.file = nil
	return err
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
