package column

import (
	"encoding/json"
	"iter"
)

// members yields the keys of a JSON object and the text of their values, in order. REQUIRES: raw is a valid JSON object.
func members(raw []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		at := skipSpace(raw, 0) + 1 // past the opening brace
		for {
			at = skipSpace(raw, at)
			if at >= len(raw) || raw[at] == '}' {
				return
			}
			end := skipString(raw, at)
			key := unquote(raw[at:end])
			at = skipSpace(raw, skipSpace(raw, end)+1) // past the colon
			end = skipValue(raw, at)
			if !yield(key, raw[at:end]) {
				return
			}
			at = skipSpace(raw, end)
			if at < len(raw) && raw[at] == ',' {
				at++
			}
		}
	}
}

// memberKeys yields the keys of a JSON object.
func memberKeys(raw []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for key := range members(raw) {
			if !yield(key) {
				return
			}
		}
	}
}

// member returns the text of a key's value; of a key given more than once, the last one, as encoding/json has it.
func member(raw []byte, key string) (value []byte, ok bool) {
	for k, v := range members(raw) {
		if k == key {
			value, ok = v, true
		}
	}
	return value, ok
}

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\t' || raw[at] == '\r') {
		at++
	}
	return at
}

// skipString returns the position after the string that begins at at.
func skipString(raw []byte, at int) int {
	for at++; at < len(raw); at++ {
		switch raw[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(raw)
}

// skipValue returns the position after the value that begins at at.
func skipValue(raw []byte, at int) int {
	depth := 0
	for at < len(raw) {
		switch raw[at] {
		case '"':
			at = skipString(raw, at)
			if depth == 0 {
				return at
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at
			}
			depth--
			if depth == 0 {
				return at + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return at
			}
		}
		at++
	}
	return at
}

// unquote turns the text of a JSON string into the string.
func unquote(text []byte) string {
	for _, c := range text {
		if c == '\\' {
			var s string
			if json.Unmarshal(text, &s) != nil {
				return string(text)
			}
			return s
		}
	}
	return string(text[1 : len(text)-1])
}
