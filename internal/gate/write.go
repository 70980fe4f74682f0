package gate

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/onnx-compress/onnx-compress/verify"
)

type suite struct {
	XMLName  xml.Name `xml:"testsuite"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Cases    []test   `xml:"testcase"`
}

type test struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Failure *failure `xml:"failure"`
	Out     string   `xml:"system-out,omitempty"`
}

type failure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the checks as a JUnit XML report: one suite, one test case per check.
func JUnit(w io.Writer, r *verify.Report, checks []Check) error {
	s := suite{Name: "onnx-compress verify", Tests: len(checks), Failures: len(Failed(checks))}
	for _, c := range checks {
		t := test{Class: r.Compressed, Name: c.Name + ": " + c.Required}
		if c.Holds {
			t.Out = c.sentence()
		} else {
			t.Failure = &failure{c.sentence(), strings.Join(append([]string{"original " + r.Original, "data " + r.Data}, c.Samples...), "\n")}
		}
		s.Cases = append(s.Cases, t)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// sentence says what a check found, and where.
func (c Check) sentence() string {
	s := "found " + c.Found
	if c.Where != "" {
		s += " at " + c.Where
	}
	return s + "; required: " + c.Required
}

// Markdown writes the checks and the report's numbers for the summary of a pipeline.
func Markdown(out io.Writer, r *verify.Report, checks []Check) error {
	w := bufio.NewWriter(out) // which keeps the first error
	failed := Failed(checks)
	verdict := "✅ passed"
	if len(failed) > 0 {
		verdict = fmt.Sprintf("❌ %d of %d checks failed", len(failed), len(checks))
	}
	fmt.Fprintf(w, "### %s against %s: %s\n\n", cell(r.Compressed), cell(r.Original), verdict)
	fmt.Fprintf(w, "%s\n\n%d samples of %s\n\n", cell(r.Judge().Text), r.Samples, cell(r.Data))
	fmt.Fprintf(w, "| | required | found | where |\n|---|---|---|---|\n")
	for _, c := range checks {
		mark := "✅"
		if !c.Holds {
			mark = "❌"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", mark, cell(c.Required), cell(c.Found), cell(c.Where))
	}
	for _, c := range failed {
		if len(c.Samples) == 0 {
			continue
		}
		fmt.Fprintf(w, "\nSamples to look at for “%s”:\n\n", cell(c.Required))
		for _, s := range c.Samples {
			fmt.Fprintf(w, "- %s\n", cell(s))
		}
	}
	fmt.Fprintf(w, "\n| output | is | SNR | cosine | mean error | largest error |\n|---|---|---:|---:|---:|---:|\n")
	for _, o := range r.Outputs {
		db := "–"
		if o.SNR != nil {
			db = fmt.Sprintf("%.2f dB", *o.SNR)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.5f | %.3g | %.3g |\n", cell(o.Name), o.Kind, db, o.Cosine, o.MeanRelative, o.MaxRelative)
	}
	if l := r.Language; l != nil {
		fmt.Fprintf(w, "\n| token | same | KL divergence | perplexity |\n|---|---:|---:|---:|\n")
		perplexity := "–"
		if p := l.Perplexity; p != nil {
			perplexity = fmt.Sprintf("%.2f → %.2f", p.Before, p.After)
		}
		fmt.Fprintf(w, "| %s | %.2f %% | %.4f | %s |\n", cell(l.Output), 100*l.Agreement.Value, l.KL.Value, perplexity)
	}
	return w.Flush()
}

// cell makes text safe for a cell of a Markdown table, on one line and without markup.
func cell(s string) string {
	escaped := strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "#", "\\#").Replace(s)
	return strings.Join(strings.Fields(escaped), " ")
}
