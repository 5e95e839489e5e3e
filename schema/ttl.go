package schema

import "time"

// maxTTL is the longest time that entities may have to live.
const maxTTL = 100 * 365 * 24 * time.Hour

// ExpireAt lets each entity expire at the time that an Int64 field says, in milliseconds since 1970 (time.Time.UnixMilli). One in which it is null
// does not expire. Expired entities are in no result and in no count; the next compaction of their segment removes them.
func (s *Schema) ExpireAt(field string) *Schema {
	s.TTLField, s.TTLAfter = field, 0
	return s
}

// ExpireAfter lets every entity expire some time after it was inserted or upserted, in whole milliseconds. Finish adds the field "$inserted" for that.
func (s *Schema) ExpireAfter(d time.Duration) *Schema {
	s.TTLField, s.TTLAfter = InsertedName, d
	return s
}

// newInserted makes the field of the time of insertion.
func newInserted() *Field {
	return &Field{Name: InsertedName, Type: TypeInt64, IsNullable: true, IsInsertTime: true}
}

// validateTTL checks what is said of expiry. REQUIRES: the fields passed.
func (s *Schema) validateTTL() error {
	if s.TTLField == "" {
		if s.TTLAfter != 0 {
			return Invalid("", s.TTLAfter, "a time to live needs the field that it counts from")
		}
		return nil
	}
	if s.TTLField == InsertedName {
		if s.TTLAfter < time.Millisecond || s.TTLAfter > maxTTL || s.TTLAfter%time.Millisecond != 0 {
			return Invalid("", s.TTLAfter, "time to live must be whole milliseconds from 1ms to %v", maxTTL)
		}
		return nil
	}
	f, ok := s.Field(s.TTLField)
	switch {
	case !ok || f.Type != TypeInt64:
		return Invalid(s.TTLField, nil, "the time of expiry must be an Int64 field")
	case s.TTLAfter < 0 || s.TTLAfter > maxTTL || s.TTLAfter%time.Millisecond != 0:
		return Invalid("", s.TTLAfter, "time to live must be whole milliseconds up to %v", maxTTL)
	}
	return nil
}
