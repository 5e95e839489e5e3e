package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/selkiedb/selkie/engine"
)

// store is what inspect tells of a store.
type store struct {
	Dir         string             `json:"dir"`
	LSN         uint64             `json:"lsn"`
	Collections []collection       `json:"collections"`
	Log         []engine.LogRecord `json:"log,omitempty"`
	segments    bool
}

type collection struct {
	Name       string             `json:"name"`
	Created    time.Time          `json:"created"`
	Fields     []string           `json:"fields"`
	Indexes    []engine.IndexInfo `json:"indexes,omitempty"`
	Partitions []part             `json:"partitions"`
}

type part struct {
	Name     string               `json:"name"`
	Stats    engine.Stats         `json:"stats"`
	Segments []engine.SegmentInfo `json:"segments"`
}

func inspect(c *command) (int, error) {
	segments := c.flags.Bool("segments", false, "list every segment")
	log := c.flags.Bool("log", false, "list every record of the log")
	dirs, err := c.parse(1)
	if err != nil {
		return failed, err
	}
	eng, err := engine.Open(dirs[0], &engine.Options{ReadOnly: true, MapIndexes: true})
	if err != nil {
		return failed, err
	}
	s, err := describe(eng)
	if err := errors.Join(err, eng.Close()); err != nil {
		return failed, err
	}
	s.segments = *segments
	if *log {
		err = engine.InspectLog(c.ctx, nil, s.Dir, func(r engine.LogRecord) error {
			s.Log = append(s.Log, r)
			return nil
		})
		if err != nil {
			return failed, err
		}
	}
	return allWell, c.print(s)
}

func describe(eng *engine.Engine) (*store, error) {
	s := &store{Dir: eng.Dir(), LSN: eng.LSN(), Collections: []collection{}}
	for _, name := range eng.Collections() {
		c, err := eng.Collection(name)
		if err != nil {
			return nil, err
		}
		d := collection{Name: name, Created: c.Created(), Indexes: c.Indexes()}
		for _, f := range c.Schema().Fields {
			d.Fields = append(d.Fields, fmt.Sprintf("%s %s", f.Name, f.Type))
		}
		for _, p := range c.Partitions() {
			d.Partitions = append(d.Partitions, part{p.Name(), p.Stats(), p.Segments()})
		}
		s.Collections = append(s.Collections, d)
	}
	return s, nil
}

// String gives the description as text.
func (s *store) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d collections, LSN %d\n", s.Dir, len(s.Collections), s.LSN)
	for _, c := range s.Collections {
		fmt.Fprintf(&b, "collection %s (%s), created %s\n", c.Name, strings.Join(c.Fields, ", "), c.Created.UTC().Format(time.DateTime))
		for _, x := range c.Indexes {
			fmt.Fprintf(&b, "  index %s of %s: %s %s %s, %d of %d rows\n", x.Name, x.Field, x.Kind, x.Metric, x.State, x.IndexedRows, x.TotalRows)
		}
		for _, p := range c.Partitions {
			st := p.Stats
			fmt.Fprintf(&b, "  partition %s: %d entities sealed in %d segments of %d bytes, %d not flushed, %d deleted\n",
				p.Name, st.Sealed, st.Segments, st.DiskBytes, st.Growing+st.Sealing, st.Deleted)
			if !s.segments {
				continue
			}
			for _, x := range p.Segments {
				fmt.Fprintf(&b, "    %s\n", x)
			}
		}
	}
	for _, r := range s.Log {
		fmt.Fprintf(&b, "log: LSN %d %s, collection %d, %d bytes\n", r.LSN, r.Kind, r.Collection, r.Bytes)
	}
	return b.String()
}
