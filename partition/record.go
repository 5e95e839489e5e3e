package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Kind says what a write does.
type Kind uint8

// The kinds of write. The numbers are on disk.
const (
	KindInsert Kind = 1
	KindUpsert Kind = 2
	KindDelete Kind = 3
	KindNote   Kind = 4 // writes nothing: it only carries what every record carries of the catalogue
)

// String gives the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case KindInsert:
		return "insert"
	case KindUpsert:
		return "upsert"
	case KindDelete:
		return "delete"
	case KindNote:
		return "note"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// A record is one write in the log:
//
//	version uint8 | kind uint8 | 0 uint16 | parts uint32 | collection uint64 | catalogue uint64
//	insert, upsert: per part: partition uint64 | batch
//	delete:         per part: partition uint64;  then the keys. No part means every partition of the collection
//	upsert, and delete of every partition: reach uint64
//
// reach is the largest number of a partition that was looked through: what a partition made meanwhile holds was not touched, although its
// rows may have smaller LSNs.
// catalogue is the place in the catalogue's edits up to which they were durable when the record was made: a catalogue that ends before
// it is an older copy. Little-endian, every item at a multiple of eight bytes. An upsert removes older rows of its keys from every
// partition of the collection. docs/format/record.md says the same at length.
const (
	recordVersion = 1
	recordHeader  = 24
)

// ErrBadRecord is returned for a record whose bytes are no write, though the log vouches for them.
var ErrBadRecord = errors.New("malformed log record")

// RecordHead returns the collection that a record writes to, 0 for none, and the place in the catalogue that it carries.
func RecordHead(payload []byte) (collection, catalogue uint64, err error) {
	if len(payload) < recordHeader {
		return 0, 0, fmt.Errorf("%w: %d bytes", ErrBadRecord, len(payload))
	}
	return binary.LittleEndian.Uint64(payload[8:]), binary.LittleEndian.Uint64(payload[16:]), nil
}

// RecordPartition returns the first partition that an insert or upsert writes to.
func RecordPartition(payload []byte) (id uint64, ok bool) {
	if len(payload) < recordHeader+8 || Kind(payload[1]) != KindInsert && Kind(payload[1]) != KindUpsert {
		return 0, false
	}
	return binary.LittleEndian.Uint64(payload[recordHeader:]), true
}

// RecordFits reads a record as one to a collection of the schema, and tells why it is none.
func RecordFits(payload []byte, s *schema.Schema) error {
	p := &Partition{}
	p.schema.Store(s)
	_, err := DecodeWrite(payload, func(uint64) *Partition { return nil }, []*Partition{p})
	return err
}

// EncodeNote gives a record that writes nothing.
func EncodeNote(catalogue uint64) []byte { return (&Write{Kind: KindNote}).encode(nil, catalogue) }

// encode appends the record to dst.
func (w *Write) encode(dst []byte, catalogue uint64) []byte {
	size := recordHeader + 8
	for _, part := range w.Parts {
		size += 8 + part.Batch.EncodedLen()
	}
	if w.Kind == KindDelete {
		size += 8*len(w.Scope) + 16*w.Keys.Len() + len(w.Keys.Bytes) + 64
	}
	out := slices.Grow(dst, size)
	parts := len(w.Parts)
	if w.Kind == KindDelete && !w.Everywhere {
		parts = len(w.Scope)
	}
	out = append(out, recordVersion, byte(w.Kind), 0, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(parts))
	out = binary.LittleEndian.AppendUint64(out, w.Collection)
	out = binary.LittleEndian.AppendUint64(out, catalogue)
	if w.Kind != KindDelete {
		for _, part := range w.Parts {
			out = binary.LittleEndian.AppendUint64(out, part.Partition.id)
			out = part.Batch.AppendEncode(out)
		}
		return w.appendReach(out)
	}
	if !w.Everywhere {
		for _, p := range w.Scope {
			out = binary.LittleEndian.AppendUint64(out, p.id)
		}
	}
	return w.appendReach(w.Keys.AppendEncode(out))
}

// reaches reports whether the write looks for older rows in every partition of the collection.
func (w *Write) reaches() bool { return w.Kind == KindUpsert || w.Kind == KindDelete && w.Everywhere }

func (w *Write) appendReach(dst []byte) []byte {
	if !w.reaches() {
		return dst
	}
	var reach uint64
	for _, p := range w.Scope {
		reach = max(reach, p.id)
	}
	return binary.LittleEndian.AppendUint64(dst, reach)
}

// DecodeWrite reads a record. partitions finds those of the collection; one that was dropped since is nil and its part is left out.
// The write's data lies in payload.
func DecodeWrite(payload []byte, find func(id uint64) *Partition, all []*Partition) (*Write, error) {
	if len(payload) < recordHeader {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadRecord, len(payload))
	}
	if payload[0] != recordVersion {
		return nil, fmt.Errorf("%w: log record version %d; this program reads %d", ErrVersion, payload[0], recordVersion)
	}
	if payload[2] != 0 || payload[3] != 0 {
		return nil, fmt.Errorf("%w: bytes 2 and 3 are not zero", ErrBadRecord)
	}
	w := &Write{Kind: Kind(payload[1]), Collection: binary.LittleEndian.Uint64(payload[8:]), AllowDuplicates: true}
	parts := int(binary.LittleEndian.Uint32(payload[4:]))
	rest := payload[recordHeader:]
	var keys []column.Keys
	if parts > len(rest)/8 {
		return nil, fmt.Errorf("%w: %d parts in %d bytes", ErrBadRecord, parts, len(rest))
	}
	switch w.Kind {
	case KindInsert, KindUpsert:
		for range parts {
			if len(rest) < 8 {
				return nil, fmt.Errorf("%w: it ends inside a part", ErrBadRecord)
			}
			p := find(binary.LittleEndian.Uint64(rest))
			s := all[0].Schema()
			if p != nil {
				s = p.Schema()
			}
			batch, more, err := column.DecodeBatch(s, rest[8:])
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBadRecord, err)
			}
			rest = more
			if p != nil {
				w.Parts = append(w.Parts, Part{p, batch})
			}
			keys = append(keys, batch.Keys())
		}
		w.Keys = joinKeys(keys)
	case KindDelete:
		w.Everywhere = parts == 0
		for range parts {
			if p := find(binary.LittleEndian.Uint64(rest)); p != nil {
				w.Scope = append(w.Scope, p)
			}
			rest = rest[8:]
		}
		keys, more, err := column.DecodeKeys(rest)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadRecord, err)
		}
		w.Keys, rest = keys, more
	default:
		return nil, fmt.Errorf("%w: kind %d", ErrBadRecord, payload[1])
	}
	if w.reaches() {
		if len(rest) < 8 {
			return nil, fmt.Errorf("%w: it ends before its reach", ErrBadRecord)
		}
		reach := binary.LittleEndian.Uint64(rest)
		w.Scope = slices.DeleteFunc(slices.Clone(all), func(p *Partition) bool { return p.id > reach })
		rest = rest[8:]
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", ErrBadRecord, len(rest))
	}
	return w, nil
}

// joinKeys makes one list of several.
func joinKeys(lists []column.Keys) column.Keys {
	if len(lists) == 1 {
		return lists[0]
	}
	var out column.Keys
	for _, k := range lists {
		if !k.Str {
			out.Ints = append(out.Ints, k.Ints...)
			continue
		}
		if out.Str = true; len(out.Offs) == 0 {
			out.Offs = append(out.Offs, 0)
		}
		for i := range k.Len() {
			out.Bytes = append(out.Bytes, k.Bytes[k.Offs[i]:k.Offs[i+1]]...)
			out.Offs = append(out.Offs, uint32(len(out.Bytes)))
		}
	}
	return out
}
