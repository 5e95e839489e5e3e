package filter

import (
	"bytes"
	"encoding/binary"
)

// Kernels over columns of strings: offs are the offsets of a tile's rows, one more than there are rows, into all.

// eachString sets the bits of the wanted strings that f accepts.
func eachString(want, t []uint64, offs []uint32, all []byte, f func([]byte) bool) {
	for w, word := range want {
		t[w] = 0
		if word == 0 {
			continue
		}
		o := offs[w*64 : min(w*64+65, len(offs))]
		var yes uint64
		for j := range len(o) - 1 {
			if word>>(j&63)&1 != 0 {
				yes |= bit(f(all[o[j]:o[j+1]])) << (j & 63)
			}
		}
		t[w] = yes
	}
}

// head is what a string is compared with: its first eight bytes at once, without a branch, and the rest only if these are equal.
type head struct {
	text       string
	word, mask uint64
	exact      bool // the string is all of it, and not only begins with it
}

func newHead(text string, exact bool) *head {
	var b, m [8]byte
	copy(b[:], text)
	for i := range min(8, len(text)) {
		m[i] = 0xff
	}
	return &head{text, binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(m[:]), exact}
}

// find sets the bits of the strings that are, or begin with, the head.
func (h *head) find(want, t []uint64, offs []uint32, all []byte) {
	n, most := uint32(len(h.text)), ^uint32(0)
	if h.exact {
		most = 0
	} else {
		most -= n
	}
	for w, word := range want {
		t[w] = 0
		if word == 0 {
			continue
		}
		o := offs[w*64 : min(w*64+65, len(offs))]
		var yes uint64
		if rows := len(o) - 1; int(o[rows-1])+8 <= len(all) {
			for j := range rows {
				at := o[j]
				first := binary.LittleEndian.Uint64(all[at:])
				// The length is n, or n and more: the subtraction wraps below n.
				yes |= bit((first^h.word)&h.mask == 0) & bit(o[j+1]-at-n <= most) << (j & 63)
			}
			if n > 8 {
				yes = h.check(yes, o, all)
			}
		} else {
			yes = h.check(word, o, all)
		}
		t[w] = yes
	}
}

// check looks at the whole of those strings whose bits are set.
func (h *head) check(rows uint64, o []uint32, all []byte) (yes uint64) {
	for j := range len(o) - 1 {
		if rows>>(j&63)&1 != 0 {
			s := all[o[j]:o[j+1]]
			yes |= bit(len(s) >= len(h.text) && string(s[:len(h.text)]) == h.text && (!h.exact || len(s) == len(h.text))) << (j & 63)
		}
	}
	return yes
}

// findInfix sets the bits of the strings that hold the text. It searches all rows as one string, and looks where what it finds lies.
func findInfix(t []uint64, offs []uint32, all []byte, text []byte) {
	clear(t)
	row, rows := 0, len(offs)-1
	for at := int(offs[0]); row < rows; {
		i := bytes.Index(all[at:offs[rows]], text)
		if i < 0 {
			return
		}
		at += i
		for int(offs[row+1]) <= at {
			row++
		}
		if at+len(text) <= int(offs[row+1]) {
			t[row/64] |= 1 << (row % 64)
			at = int(offs[row+1])
			row++
		} else {
			at++ // it lies across two rows
		}
	}
}
