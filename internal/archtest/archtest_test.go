package archtest_test

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestModule(t *testing.T) {
	files := readModule(t)
	require.True(t, slices.ContainsFunc(files, func(f file) bool {
		return f.dir == "internal/archtest" && f.name == "doc.go"
	}), "the files read are not this module's: %d of them", len(files))
	for _, v := range check(files) {
		t.Error(v)
	}
}

// tree is a module in memory: path from the root → what follows the package
// clause.
type tree map[string]string

func (tr tree) files(t *testing.T) []file {
	var files []file
	for _, name := range slices.Sorted(maps.Keys(tr)) {
		source := tr[name]
		if !strings.Contains(source, "package ") {
			source = "package " + path.Base(path.Dir(name)) + "\n" + source
		}
		f, err := parse(name, []byte(source))
		require.NoError(t, err)
		files = append(files, f)
	}
	return files
}

// Each rule finds what breaks it, at its place.
func TestRulesCanFail(t *testing.T) {
	for _, c := range []struct {
		name string
		tree tree
		want []string // "file:line:column: rule"
	}{
		{
			"against the direction",
			tree{"vector/a.go": `import "github.com/selkiedb/selkie/schema"`},
			[]string{"vector/a.go:2:8: direction"},
		},
		{
			"over a step",
			tree{"cmd/demo/a.go": `import "github.com/selkiedb/selkie/segment"`},
			[]string{"cmd/demo/a.go:2:8: direction"},
		},
		{
			"from a folder below",
			tree{"wal/record/a.go": `import _ "github.com/selkiedb/selkie/segment/part"`},
			[]string{"wal/record/a.go:2:8: direction"},
		},
		{
			"from internal",
			tree{"internal/crc/a.go": `import "github.com/selkiedb/selkie/wal"`},
			[]string{"internal/crc/a.go:2:8: direction"},
		},
		{
			"the root",
			tree{"schema/a.go": `import "github.com/selkiedb/selkie"`},
			[]string{"schema/a.go:2:8: direction"},
		},
		{
			"a folder without a place",
			tree{"util/a.go": ``},
			[]string{"util/a.go:1:1: direction"},
		},
		{
			"tables in two files",
			tree{
				"segment/a.go": "import \"github.com/cockroachdb/pebble/v2/sstable\"\nimport \"github.com/cockroachdb/pebble/v2\"",
				"segment/b.go": `import "github.com/cockroachdb/pebble/v2/sstable/block"`,
			},
			[]string{"segment/b.go:2:8: pebble"},
		},
		{
			"tables elsewhere",
			tree{"partition/a.go": `import "github.com/cockroachdb/pebble/v2"`, "segment/part/a.go": `import "github.com/cockroachdb/pebble/v2/sstable"`},
			[]string{"partition/a.go:2:8: pebble", "segment/part/a.go:2:8: pebble"},
		},
		{
			"flatbuffers in the open",
			tree{"segment/meta.go": `import flat "github.com/google/flatbuffers/go"`},
			[]string{"segment/meta.go:2:8: flatbuffers"},
		},
		{
			"generated flatbuffers in the open",
			tree{"engine/a.go": `import "github.com/selkiedb/selkie/internal/fb/catalogue"`},
			[]string{"engine/a.go:2:8: flatbuffers"},
		},
		{
			"generated flatbuffers of a package in the open",
			tree{"schema/a.go": `import "github.com/selkiedb/selkie/schema/internal/fb"`},
			[]string{"schema/a.go:2:8: flatbuffers"},
		},
		{
			"roaring in the open",
			tree{"partition/tombstone.go": `import "github.com/RoaringBitmap/roaring/v2"`, "segment/a.go": `import "github.com/RoaringBitmap/roaring/v2"`},
			[]string{"partition/tombstone.go:2:8: roaring", "segment/a.go:2:8: roaring"},
		},
		{
			"exits",
			tree{"engine/a.go": "import (\n\"os\"\n\"log\"\n)\nfunc f(l *log.Logger) {\nos.Exit(1)\nlog.Fatal()\nl.Fatalf(\"\")\nlog.Panicln()\n}"},
			[]string{"engine/a.go:7:1: exit", "engine/a.go:8:1: exit", "engine/a.go:9:1: exit", "engine/a.go:10:1: exit"},
		},
		{
			"init",
			tree{"column/a.go": "func init() {}"},
			[]string{"column/a.go:2:1: init"},
		},
		{
			"panics",
			tree{"column/a.go": "func f() {\npanic(1)\n// because\npanic(2)\n// REQUIRES:\npanic(3)\n// REQUIRES: n > 0\n\npanic(4)\n}\n// g is strict. REQUIRES:\nfunc g() { panic(5) }"},
			[]string{"column/a.go:3:1: panic", "column/a.go:5:1: panic", "column/a.go:7:1: panic", "column/a.go:10:1: panic", "column/a.go:13:12: panic"},
		},
		{
			"test code",
			tree{"wal/a.go": "import \"testing\"\nimport \"github.com/stretchr/testify/require\"\nimport \"github.com/selkiedb/selkie/wal/waltest\""},
			[]string{"wal/a.go:2:8: testing", "wal/a.go:3:8: testing", "wal/a.go:4:8: testing"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, v := range check(c.tree.files(t)) {
				got = append(got, v.at.String()+": "+v.rule)
				require.NotEmpty(t, v.why)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// The same things are fine where they belong.
func TestRulesCanHold(t *testing.T) {
	good := tree{
		"engine/a.go":              "import \"github.com/selkiedb/selkie/partition\"\nimport \"github.com/selkiedb/selkie/wal\"\nimport \"github.com/selkiedb/selkie/internal/crc\"",
		"cmd/demo/main.go":         "package main\nimport (\n\"os\"\n\"github.com/selkiedb/selkie/engine\"\n\"github.com/selkiedb/selkie/cmd/demo/data\"\n)\nfunc init() { panic(1) }\nfunc main() { os.Exit(1) }",
		"segment/table.go":         "import \"github.com/cockroachdb/pebble/v2/sstable\"\nimport \"github.com/cockroachdb/pebble/v2\"",
		"wal/a.go":                 "import \"github.com/cockroachdb/pebble/v2/vfs\"\nimport \"github.com/cockroachdb/pebble/v2/vfs/errorfs\"",
		"segment/meta_codec.go":    "import flat \"github.com/google/flatbuffers/go\"\nimport \"github.com/selkiedb/selkie/internal/fb\"",
		"internal/fb/meta.go":      `import flat "github.com/google/flatbuffers/go"`,
		"schema/internal/fb/f.go":  `import flat "github.com/google/flatbuffers/go"`,
		"schema/codec.go":          `import "github.com/selkiedb/selkie/schema/internal/fb"`,
		"segment/tombstones.go":    `import "github.com/RoaringBitmap/roaring/v2"`,
		"filter/row_set.go":        `import "github.com/RoaringBitmap/roaring/v2"`,
		"wal/waltest/a.go":         "import \"testing\"\nfunc F(t *testing.T) { t.Fatal(1); panic(1) }",
		"vector/gen.go":            "//go:build ignore\n\npackage main\nimport \"os\"\nfunc main() { os.Exit(1) }",
		"column/a.go":              "func f() {\npanic(1) // REQUIRES: n > 0\n// REQUIRES: the caller holds\n// the lock.\npanic(2)\n// INVARIANT: sorted\npanic(3)\n}\n// g is strict. REQUIRES: n > 0.\nfunc g() { panic(4) }\ntype t struct{}\nfunc (t) init() {}\nfunc (t) Fatalf() {}",
		"internal/fb/generated.go": "// Code generated by flatc. DO NOT EDIT.\n\npackage fb\nfunc f() { panic(1) }",
	}
	require.Empty(t, check(good.files(t)))
}
