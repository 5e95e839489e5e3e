package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Markdown writes the report as a document. pictures is the folder that it finds the charts in, as NAME.svg; "" leaves
// them out.
func (r *Report) Markdown(w io.Writer, pictures string) error {
	var b strings.Builder
	for _, f := range r.Facts {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	if len(r.Losses) > 0 {
		b.WriteString("\n## Where Selkie is not first\n\n")
		for _, l := range r.Losses {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n## %s\n", s.Title)
		if s.Text != "" {
			fmt.Fprintf(&b, "\n%s\n", s.Text)
		}
		if s.Chart != nil && pictures != "" {
			fmt.Fprintf(&b, "\n![%s](%s/%s.svg)\n", s.Chart.Title, pictures, s.Chart.Name)
		}
		if s.Table != nil {
			s.Table.markdown(&b)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Table) markdown(b *strings.Builder) {
	b.WriteString("\n| " + strings.Join(t.Head, " | ") + " |\n|")
	for i := range t.Head {
		if i < t.Texts {
			b.WriteString("---|")
		} else {
			b.WriteString("--:|")
		}
	}
	b.WriteByte('\n')
	for i, row := range t.Rows {
		cells := append([]string(nil), row...)
		if t.Strong[i] {
			cells[0] = "**" + cells[0] + "**"
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
}

//go:embed page.html
var page string

// HTML writes the report as one page that needs no other file.
func (r *Report) HTML(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"svg": func(c *Chart) (template.HTML, error) {
			text, err := c.SVG()
			return template.HTML(text), err
		},
		"text": func(t *Table, column int) bool { return column < t.Texts },
	}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}
