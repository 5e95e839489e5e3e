package milvus

import (
	"strconv"
	"time"

	"github.com/selkiedb/selkie/schema"
)

// The properties of a collection by which its entities expire: some seconds after they were written, or at the time that a field says.
const (
	ttlSeconds = "collection.ttl.seconds"
	ttlField   = "ttl_field"
)

// parseTTL reads how entities expire. 0 and -1 seconds mean never.
func parseTTL(s *schema.Schema, properties map[string]string) error {
	field, seconds := properties[ttlField], properties[ttlSeconds]
	if seconds != "" {
		n, err := strconv.ParseInt(seconds, 10, 32)
		if err != nil || n < -1 {
			return fail(codeInvalid, "collection.ttl.seconds is %q, should be a number of seconds", clip(seconds))
		}
		if n > 0 {
			s.ExpireAfter(time.Duration(n) * time.Second)
		}
	}
	if field != "" {
		if s.TTLField != "" {
			return fail(codeInvalid, "%s and %s do not go together", ttlSeconds, ttlField)
		}
		s.ExpireAt(field)
	}
	return nil
}

// formatTTL adds the properties to those of a collection that was made without the protocol.
func formatTTL(s *schema.Schema, properties map[string]string) {
	switch {
	case s.TTLField == "" || properties[ttlSeconds] != "" || properties[ttlField] != "":
	case s.TTLField == schema.InsertedName:
		properties[ttlSeconds] = strconv.FormatInt(int64((s.TTLAfter+time.Second-1)/time.Second), 10)
	default:
		properties[ttlField] = s.TTLField
	}
}

// decided are properties that take effect when a collection is made, and cannot be changed after that.
var decided = []string{duplicateKeys, ttlSeconds, ttlField, "dynamicfield.enabled"}
