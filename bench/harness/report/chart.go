package report

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/selkiedb/selkie/bench/harness/result"
)

// Chart is a picture: lines over recall, or bars.
type Chart struct {
	Name, Title string
	lines       []line
	bars        []bar
	over, of    string // what a logarithmic horizontal axis and the vertical one show; "" for queries a second over recall
}

type line struct {
	name   string
	own    bool
	points plotter.XYs
}

type bar struct {
	name  string
	value float64
	own   bool
}

func (c *Chart) bar(name string, value float64, own bool) {
	if value > 0 && !math.IsNaN(value) {
		c.bars = append(c.bars, bar{name, value, own})
	}
}

// orNil is nil where there is nothing to draw.
func (c *Chart) orNil() *Chart {
	if len(c.bars) == 0 && len(c.lines) == 0 {
		return nil
	}
	return c
}

// leastRecall is where the axis begins: nobody wants less.
const leastRecall = .80

// recallChart draws each curve's measured frontier, queries a second on a logarithmic axis.
func recallChart(name, title string, all []curve) *Chart {
	c := &Chart{Name: name, Title: title}
	for i := range all {
		l := line{name: all[i].name, own: all[i].own}
		for _, p := range all[i].frontier {
			if p.Recall >= leastRecall && p.QPS > 0 {
				l.points = append(l.points, plotter.XY{X: p.Recall, Y: p.QPS})
			}
		}
		if len(l.points) > 0 {
			c.lines = append(c.lines, l)
		}
	}
	return c.orNil()
}

// filterChart draws queries a second over the share of rows that filters let through, a line for each kind.
func filterChart(set string, records []result.Record) *Chart {
	c := &Chart{
		Name: "filter-" + set, Title: "queries/s over selectivity, " + set,
		over: "% of the rows that the filter lets through", of: "queries a second, one thread",
	}
	kind := func(r *result.Record) string { return r.System + ", " + r.Params["kind"] }
	for _, name := range uniques(records, kind) {
		l := line{name: name}
		for _, r := range filter(records, func(r *result.Record) bool { return kind(r) == name }) {
			l.own = own(&r)
			if percent, err := strconv.ParseFloat(r.Params["percent"], 64); err == nil && r.QPS > 0 {
				l.points = append(l.points, plotter.XY{X: percent, Y: float64(r.QPS)})
			}
		}
		slices.SortFunc(l.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		if len(l.points) > 0 {
			c.lines = append(c.lines, l)
		}
	}
	return c.orNil()
}

// flushChart draws what an insert of one row with a flush takes, and a search after them, over the number of flushes.
func flushChart(set string, records []result.Record) *Chart {
	c := &Chart{Name: "flush-each-" + set, Title: "a flush after every insert, " + set, over: "inserts, each flushed", of: "µs"}
	flush, search := line{name: "insert and flush, median", own: true}, line{name: "search after the last"}
	for _, r := range records {
		count, err := strconv.ParseFloat(r.Params["count"], 64)
		if err != nil || !own(&r) || !(r.P50 > 0) {
			continue
		}
		flush.points = append(flush.points, plotter.XY{X: count, Y: float64(r.P50)})
		if us, err := strconv.ParseFloat(r.Params["search_us_after"], 64); err == nil && us > 0 {
			search.points = append(search.points, plotter.XY{X: count, Y: us})
		}
	}
	for _, l := range []line{flush, search} {
		slices.SortFunc(l.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		if len(l.points) > 0 {
			c.lines = append(c.lines, l)
		}
	}
	return c.orNil()
}

// ink and faint stand for colours that follow the reader's mode; SVG replaces them.
var (
	ink   = color.RGBA{1, 2, 3, 255}
	faint = color.RGBA{4, 5, 6, 255}
)

// palette can be told apart on white and on black, also by most of those who see few colours (after Okabe and Ito).
var palette = []color.RGBA{
	{0xd5, 0x5e, 0x00, 255},
	{0x00, 0x8f, 0xd0, 255},
	{0x00, 0x9e, 0x73, 255},
	{0xcc, 0x79, 0xa7, 255},
	{0xb8, 0x9b, 0x00, 255},
	{0x7a, 0x6f, 0xd6, 255},
	{0x8c, 0x8c, 0x8c, 255},
	{0xa6, 0x5a, 0x2e, 255},
	{0x3b, 0xa0, 0xa0, 255},
	{0xc0, 0x40, 0x60, 255},
	{0x60, 0x80, 0x30, 255},
}

func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil // the page's
	p.Title.Text = title
	p.Title.Padding = 8
	style := func(s *text.Style, size vg.Length) {
		s.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
		s.Color = ink
	}
	style(&p.Title.TextStyle, 13)
	style(&p.Legend.TextStyle, 10)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		style(&a.Label.TextStyle, 11)
		style(&a.Tick.Label, 10)
		a.LineStyle.Color, a.Tick.LineStyle.Color = ink, ink
	}
	return p
}

// SVG draws the chart as a document of its own.
func (c *Chart) SVG() ([]byte, error) {
	const width, rowHeight = 760, 24
	height := vg.Length(430)
	p := newPlot(c.Title)
	var err error
	if len(c.lines) > 0 {
		err = c.drawLines(p)
	} else {
		height = vg.Length(90 + rowHeight*len(c.bars))
		err = c.drawBars(p)
	}
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.Name, err)
	}
	canvas := vgsvg.New(width, height)
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return restyle(b.Bytes(), c.Title), nil
}

func (c *Chart) drawLines(p *plot.Plot) error {
	p.X.Label.Text, p.Y.Label.Text = "recall", "queries a second, one thread"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, decades{}
	p.X.Tick.Marker = plot.ConstantTicks(recallTicks())
	if c.over != "" {
		p.X.Label.Text, p.Y.Label.Text = c.over, c.of
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = faint, faint
	p.Add(grid)
	others, first := 0, true // the first one of Selkie's own has the first colour
	for i, l := range c.lines {
		colour := palette[0]
		if l.own && first {
			first = false
		} else {
			colour = palette[1+others%(len(palette)-1)]
			others++
		}
		curve, dots, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return err
		}
		curve.Color, curve.Width = colour, 1.6
		dots.Color, dots.Shape, dots.Radius = colour, shapes[i%len(shapes)], 2.6
		if l.own {
			curve.Width, dots.Radius = 3, 3.4
		}
		p.Add(curve, dots)
		p.Legend.Add(l.name, curve, dots)
	}
	low, high := math.Inf(1), 0.0
	left, right := math.Inf(1), 0.0
	for _, l := range c.lines {
		for _, xy := range l.points {
			low, high = min(low, xy.Y), max(high, xy.Y)
			left, right = min(left, xy.X), max(right, xy.X)
		}
	}
	p.X.Min, p.X.Max = leastRecall, 1.002
	if c.over != "" {
		p.X.Min, p.X.Max = left/1.2, right*1.2
	}
	p.Y.Min, p.Y.Max = low/1.3, high*1.3
	p.Legend.Left, p.Legend.Top = true, false
	p.Legend.XOffs, p.Legend.YOffs = 8, 8
	p.Legend.Padding, p.Legend.ThumbnailWidth = 2, 26
	return nil
}

var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}}

func recallTicks() (ticks []plot.Tick) {
	for i := range 21 {
		tick := plot.Tick{Value: leastRecall + float64(i)*.01}
		if i%5 == 0 {
			tick.Label = fmt.Sprintf("%.2f", tick.Value)
		}
		ticks = append(ticks, tick)
	}
	return ticks
}

// decades marks 1, 2 and 5 of each power of ten.
type decades struct{}

func (decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for power := math.Floor(math.Log10(low)); power <= math.Ceil(math.Log10(high)); power++ {
		for m := 1; m < 10; m++ {
			t := plot.Tick{Value: float64(m) * math.Pow(10, power)}
			if t.Value < low || t.Value > high {
				continue
			}
			if m == 1 || m == 2 || m == 5 {
				t.Label = thousands(t.Value)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

func (c *Chart) drawBars(p *plot.Plot) error {
	names := make([]string, len(c.bars))
	most := 0.0
	var labels plotter.XYLabels
	for i, b := range c.bars {
		at := len(c.bars) - 1 - i // the first one at the top
		names[at] = b.name
		most = max(most, b.value)
		values := make(plotter.Values, 1)
		values[0] = b.value
		drawn, err := plotter.NewBarChart(values, 15)
		if err != nil {
			return err
		}
		drawn.Horizontal, drawn.XMin = true, float64(at)
		drawn.LineStyle.Width = 0
		drawn.Color = palette[1]
		if b.own {
			drawn.Color = palette[0]
		}
		p.Add(drawn)
		labels.XYs = append(labels.XYs, plotter.XY{X: b.value, Y: float64(at)})
		labels.Labels = append(labels.Labels, " "+thousands(b.value))
	}
	told, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range told.TextStyle {
		told.TextStyle[i].Color, told.TextStyle[i].YAlign = ink, text.YCenter
		told.TextStyle[i].Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 10}
	}
	p.Add(told)
	p.NominalY(names...)
	p.Y.Padding, p.Y.Tick.Length = 6, 0
	p.X.Min, p.X.Max = 0, most*1.12
	p.Y.Min, p.Y.Max = -.6, float64(len(c.bars))-.4
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
	return nil
}

var (
	fontFamily = regexp.MustCompile(`font-family:[^;"]*`)
	svgOpening = regexp.MustCompile(`(?s)^.*?<svg [^>]*?width="([0-9.]+)pt" height="([0-9.]+)pt"[^>]*>`)
)

// restyle gives the document colours that follow the reader's mode, a font of the same widths on every system, a title for those who hear
// it, and a size that fits the page.
func restyle(svg []byte, title string) []byte {
	body := string(svg)
	head := svgOpening.FindStringSubmatch(body)
	if head == nil {
		return svg
	}
	body = strings.TrimPrefix(body, head[0])
	body = fontFamily.ReplaceAllString(body, "font-family:'Liberation Sans',Arial,Helvetica,sans-serif")
	body = strings.ReplaceAll(body, "#010203", "var(--chart-ink,#222)")
	body = strings.ReplaceAll(body, "#040506", "var(--chart-faint,#ddd)")
	const style = `<style>:root{--chart-ink:#222;--chart-faint:#ddd}@media(prefers-color-scheme:dark){:root{--chart-ink:#ddd;--chart-faint:#444}}` +
		`@media print{:root{--chart-ink:#222;--chart-faint:#ddd}}</style>`
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-label="%s">%s%s`,
		head[1], head[2], head[1], head[2], escape(title), style, body)
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func escape(s string) string { return escaper.Replace(s) }
