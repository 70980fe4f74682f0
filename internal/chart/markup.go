package chart

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
)

// tip is an area with a text that is shown when a pointer rests on it, and an address that it
// leads to, if it does; in pixels from the top left.
type tip struct {
	x, y, width, height float64
	text, link          string
}

// How far around a point its text is shown, and how far one that leads somewhere can be hit.
const (
	touch = 8
	press = 12
)

// tips are the texts of labelled points and of the mark.
func (c *canvas) tips(g *plot.Plot, area draw.Canvas, series []Series, mark *Mark) {
	data := g.DataCanvas(area)
	x, y := g.Transforms(&data)
	var links []tip
	add := func(px, py float64, text, link string) {
		if link != "" {
			links = append(links, tip{px - press, c.height - py - press, 2 * press, 2 * press, text, link})
			return
		}
		c.over = append(c.over, tip{px - touch, c.height - py - touch, 2 * touch, 2 * touch, text, ""})
	}
	for _, s := range series {
		for i, text := range s.Labels {
			link := ""
			if len(s.Links) > 0 {
				link = s.Links[i]
			}
			add(x(s.X[i]).Points(), y(s.Y[i]).Points(), text, link)
		}
	}
	if mark != nil && mark.Name != "" {
		add(x(mark.X).Points(), y(mark.Y).Points(), mark.Name, "")
	}
	c.over = append(c.over, links...) // above all else, so that nothing is in their way
}

// barTips are the texts of bars, as wide as the picture.
func (c *canvas) barTips(g *plot.Plot, area draw.Canvas, b Bars, row float64) {
	data := g.DataCanvas(area)
	_, y := g.Transforms(&data)
	for k, s := range b.Series {
		for i, text := range s.Labels {
			middle := c.height - y(float64(len(b.Names)-1-i)).Points()
			top := middle - row/2 + barSpace/2 + float64(k*barWidth)
			c.over = append(c.over, tip{0, top, c.width, barWidth, text, ""})
		}
	}
}

// bytes ends the drawing. What stands before the drawing's own elements is replaced: the
// picture scales with its place, has its name and its description, and states its font once.
func (c *canvas) bytes(title, desc string) ([]byte, error) {
	var drawn bytes.Buffer
	if _, err := c.svg.WriteTo(&drawn); err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	const head = `xmlns:xlink="http://www.w3.org/1999/xlink">`
	_, body, ok := strings.Cut(drawn.String(), head)
	at := strings.LastIndex(body, "</svg>")
	if !ok || at < 0 {
		return nil, fmt.Errorf("chart: the drawing does not begin and end as vgsvg's do: %.80q", drawn.String())
	}
	var out bytes.Buffer
	w, h := short(c.width), short(c.height)
	role := "img" // whose parts readers of screens do not see
	if slices.ContainsFunc(c.over, func(t tip) bool { return t.link != "" }) {
		role = "group"
	}
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" role="`+role+`" viewBox="0 0 %s %s" width="%s" height="%s" font-family="Liberation Sans,Arial,Helvetica,sans-serif">`, w, h, w, h)
	fmt.Fprintf(&out, "\n<title>%s</title>\n", html.EscapeString(title))
	if desc != "" {
		fmt.Fprintf(&out, "<desc>%s</desc>\n", html.EscapeString(desc))
	}
	out.WriteString(styles.ReplaceAllStringFunc(strings.TrimLeft(body[:at], "\n"), themed))
	if len(c.over) > 0 {
		out.WriteString("<g fill=\"none\" pointer-events=\"all\">\n")
		for _, t := range c.over {
			open, shut := "", ""
			if t.link != "" {
				open, shut = fmt.Sprintf(`<a href="%s" aria-label="%s">`, html.EscapeString(t.link), html.EscapeString(t.text)), "</a>"
			}
			fmt.Fprintf(&out, "%s<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"><title>%s</title></rect>%s\n",
				open, short(t.x), short(t.y), short(t.width), short(t.height), html.EscapeString(t.text), shut)
		}
		out.WriteString("</g>\n")
	}
	out.WriteString("</svg>\n")
	return out.Bytes(), nil
}

// short writes a length with one digit behind the point at most.
func short(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// styles finds vgsvg's style attributes.
var styles = regexp.MustCompile(`\s*style="([^"]*)"`)

// themed rewrites a style attribute: colours become custom properties, with an attribute
// beside them for readers of SVG that know none; the font is stated once for all.
func themed(attribute string) string {
	var attributes, themes []string
	for _, declaration := range strings.Split(styles.FindStringSubmatch(attribute)[1], ";") {
		key, value, _ := strings.Cut(declaration, ":")
		switch key {
		case "font-family", "font-variant", "font-style":
			continue
		case "font-weight":
			if value == "normal" {
				continue
			}
		}
		attributes = append(attributes, fmt.Sprintf(`%s="%s"`, key, value))
		for _, p := range properties() {
			if value == p.hex {
				themes = append(themes, fmt.Sprintf("%s:var(%s,%s)", key, p.name, value))
			}
		}
	}
	out := " " + strings.Join(attributes, " ")
	if len(themes) > 0 {
		out += ` style="` + strings.Join(themes, ";") + `"`
	}
	return out
}
