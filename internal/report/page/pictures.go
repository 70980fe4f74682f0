package page

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"image/png"

	"github.com/onnx-compress/onnx-compress/internal/report"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Pictures are small pictures of samples, by their numbers in a source. They are on the page alone: JSON does not have them.
type Pictures map[int]template.URL

// PicturesOf shows those samples of a report that moved most or changed their class, as far as they look like pictures.
func PicturesOf(src samples.Source, v *verify.Report) Pictures {
	out := Pictures{}
	if src == nil || v == nil {
		return out
	}
	for _, m := range shownMoved(v) {
		if m.Index < 0 || m.Index >= src.Len() {
			continue
		}
		s, err := src.Sample(m.Index)
		if err != nil {
			continue // the model ran on it: what is the matter now is no matter of the page
		}
		p := samples.Picture(s)
		if p == nil {
			continue
		}
		var data bytes.Buffer
		if png.Encode(&data, p) == nil {
			out[m.Index] = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(data.Bytes())) //nolint:gosec // it is made here
		}
	}
	return out
}

// mostShown is how many samples are shown as pictures.
const mostShown = 10

// shownMoved are the samples that are shown: those whose class changed, or where there are none those that moved most.
func shownMoved(v *verify.Report) []verify.Moved {
	list := v.Moved
	if v.Classes != nil && len(v.Classes.Changed) > 0 {
		list = v.Classes.Changed
	}
	return list[:min(mostShown, len(list))]
}

// figure is a sample as a picture, with what became of it.
type figure struct {
	URL           template.URL
	Name, Caption string
}

// figures show samples that moved.
func figures(v *verify.Report, pictures Pictures) block {
	var b block
	for _, m := range shownMoved(v) {
		url, ok := pictures[m.Index]
		if !ok {
			continue
		}
		b.Figures = append(b.Figures, figure{url, m.Name, answers(m)})
	}
	return b
}

// answers says what the models said of a sample.
func answers(m verify.Moved) string {
	var said string
	switch {
	case m.Before == nil || m.After == nil:
		said = "moved by " + orElse(m.Error, report.Percent, "more than can be said")
	case *m.Before == *m.After:
		said = fmt.Sprintf("class %d, as before", *m.Before)
	default:
		said = fmt.Sprintf("class %d before, %d after", *m.Before, *m.After)
	}
	if m.Label != nil {
		said += fmt.Sprintf("; labelled %d", *m.Label)
	}
	return said
}
