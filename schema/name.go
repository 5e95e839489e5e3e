package schema

import "strings"

// ValidName checks the name of a collection, field, index or alias: 1 to 255 bytes, a letter or '_' first, then letters,
// digits and '_', all ASCII. With kind "field" the words of the filter language are refused too. Names are not trimmed.
// kind is the word the error text uses.
func ValidName(kind, name string) error {
	if err := nameLength(kind, name); err != nil {
		return err
	}
	for i := range len(name) {
		c := name[i]
		if letter(c) || c == '_' || i > 0 && digit(c) {
			continue
		}
		if i == 0 {
			return Invalid("", name, "%s name must begin with an ASCII letter or '_'", kind)
		}
		return Invalid("", name, "%s name may hold ASCII letters, digits and '_' only, byte %d is %q", kind, i, c)
	}
	if kind == "field" && IsKeyword(name) {
		return Invalid("", name, "field name is a word of the filter language")
	}
	return nil
}

// ValidPartitionName checks the name of a partition: 1 to 255 bytes, a letter, digit or '_' first, then also '-'.
func ValidPartitionName(name string) error {
	if err := nameLength("partition", name); err != nil {
		return err
	}
	for i := range len(name) {
		c := name[i]
		if letter(c) || digit(c) || c == '_' || i > 0 && c == '-' {
			continue
		}
		if i == 0 {
			return Invalid("", name, "partition name must begin with an ASCII letter, a digit or '_'")
		}
		return Invalid("", name, "partition name may hold ASCII letters, digits, '_' and '-' only, byte %d is %q", i, c)
	}
	return nil
}

func nameLength(kind, name string) error {
	if name == "" {
		return Invalid("", nil, "%s name is empty", kind)
	}
	if len(name) > MaxNameLength {
		return Invalid("", name, "%s name has %d bytes, at most %d are allowed", kind, len(name), MaxNameLength)
	}
	return nil
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// IsKeyword tells whether the filter language reserves the word, in whatever case. A field with such a name could never
// be named in a filter.
func IsKeyword(word string) bool {
	if len(word) > len("array_contains_any") {
		return false
	}
	switch strings.ToLower(word) {
	case "and", "or", "not", "in", "like", "exists", "is", "null", "true", "false",
		"text_match", "phrase_match", "random_sample",
		"json_contains", "json_contains_all", "json_contains_any",
		"array_contains", "array_contains_all", "array_contains_any", "array_length",
		"interval", "iso",
		"st_contains", "st_within", "st_intersects", "st_equals", "st_touches", "st_overlaps", "st_crosses", "st_dwithin":
		return true
	}
	return false
}
