// Package prometheus shows the figures of an engine to Prometheus. It is a module of its own, so that Selkie itself does not depend on
// the client library.
//
//	registry.MustRegister(prometheus.NewCollector(eng, nil))
//
// Each figure of engine.Metrics is a metric, read when Prometheus asks: counters count since the engine was opened, gauges are sizes of the
// moment. Names and units follow https://prometheus.io/docs/practices/naming: selkie_..., _bytes, _seconds, _total for counters. A figure that
// engine.Metrics has and this package does not know is shown as an untyped metric under its own name.
package prometheus

import (
	"reflect"
	"strings"
	"time"
	"unicode"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/selkiedb/selkie/engine"
)

// Source is what figures come from: an *engine.Engine.
type Source interface{ Metrics() engine.Metrics }

// Collector is a prometheus.Collector of one engine's figures. It is safe for concurrent use, and may outlive the engine.
type Collector struct {
	source  Source
	figures []figure
}

type figure struct {
	path  []int // of the field in engine.Metrics
	desc  *prom.Desc
	kind  prom.ValueType
	scale float64
}

// metric says how a field of engine.Metrics is shown.
type metric struct {
	name string
	kind prom.ValueType
	help string
}

// NewCollector makes a collector. The labels, which may be nil, are on each metric: they tell one store of a process from another.
func NewCollector(source Source, labels map[string]string) *Collector {
	c := &Collector{source: source}
	var walk func(t reflect.Type, field string, path []int)
	walk = func(t reflect.Type, field string, path []int) {
		if t.Kind() == reflect.Struct {
			for i := range t.NumField() {
				name := t.Field(i).Name
				if field != "" {
					name = field + "." + name
				}
				walk(t.Field(i).Type, name, append(path[:len(path):len(path)], i))
			}
			return
		}
		if !reflect.Zero(t).CanInt() && !reflect.Zero(t).CanUint() && !reflect.Zero(t).CanFloat() {
			return
		}
		m, ok := metrics[field]
		if !ok {
			m = metric{name: snake(field), kind: prom.UntypedValue, help: "engine.Metrics." + field + "."}
		}
		f := figure{path: path, kind: m.kind, scale: 1}
		if t == reflect.TypeFor[time.Duration]() {
			f.scale = 1 / float64(time.Second)
			if !ok {
				m.name += "_seconds"
			}
		}
		f.desc = prom.NewDesc("selkie_"+m.name, m.help, nil, labels)
		c.figures = append(c.figures, f)
	}
	walk(reflect.TypeFor[engine.Metrics](), "", nil)
	return c
}

// Describe sends the descriptions of all metrics.
func (c *Collector) Describe(to chan<- *prom.Desc) {
	for _, f := range c.figures {
		to <- f.desc
	}
}

// Collect sends the figures of the moment.
func (c *Collector) Collect(to chan<- prom.Metric) {
	m := reflect.ValueOf(c.source.Metrics())
	for _, f := range c.figures {
		v := m.FieldByIndex(f.path)
		var x float64
		switch {
		case v.CanInt():
			x = float64(v.Int())
		case v.CanUint():
			x = float64(v.Uint())
		default:
			x = v.Float()
		}
		to <- prom.MustNewConstMetric(f.desc, f.kind, x*f.scale)
	}
}

// snake writes a field's name as metrics are written: LogSyncs is log_syncs, VisibleLSN visible_lsn.
func snake(field string) string {
	var b strings.Builder
	rs := []rune(field)
	for i, r := range rs {
		if r == '.' {
			b.WriteByte('_')
			continue
		}
		if i > 0 && unicode.IsUpper(r) && rs[i-1] != '.' && (!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
