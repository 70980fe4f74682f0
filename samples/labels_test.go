package samples

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

func TestLabels(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"3\n\n 4 \n", "[3 4] map[]"},
		{"a.jpg\t3\nb c.jpg\t4\na.jpg\t3\n", "[] map[a.jpg:3 b c.jpg:4]"},
		{"", "[] map[]"},
		{"\ufeff3\r\n4", "[3 4] map[]"},
		{"\xff\xfe3\x00\r\x00\n\x00", "[3] map[]"},
		{"\ufeffa.jpg\t3\r\n", "[] map[a.jpg:3]"},
		{"3\nb\t4\n", "line 2"},
		{"b\t4\n3\n", "line 2"},
		{"x\n", "line 1"},
		{"-1\n", "line 1"},
		{"99999999999\n", "line 1"},
		{"a\t1\na\t2\n", "line 2"},
		{"a.jpg,3\nb c.jpg, 4\n", "[] map[a.jpg:3 b c.jpg:4]"},
		{"\"a,b.jpg\",3\n", "[] map[a,b.jpg:3]"},
		{"filename,label\na.jpg,3\nb.jpg,0\n", "[] map[a.jpg:3 b.jpg:0]"},
		{"val/a b.JPEG 65\nval/c.JPEG  970\n", "[] map[val/a b.JPEG:65 val/c.JPEG:970]"},
		{"a.jpg,dog\nb.jpg,cat\nc.jpg,dog\n", "[] map[a.jpg:1 b.jpg:0 c.jpg:1]"},
		{"image,class\na.jpg,dog\nb.jpg,cat\n", "[] map[a.jpg:1 b.jpg:0]"},
		{"a.jpg\tdog\nb.jpg\tcat\na.jpg\tdog\n", "[] map[a.jpg:1 b.jpg:0]"},
		{"image 3\nb 4\n", "[] map[b:4 image:3]"},
		{"a.jpg,3\nb.jpg,dog\n", "line 2"},
		{"a.jpg,dog\nb.jpg,3\n", "line 2"},
		{"a.jpg,3\nb.jpg,4\na.jpg,3\n", "line 3"},
		{"a.jpg,3\nb.jpg\n", "line 2"},
		{"a.jpg,3,x\n", "line 1"},
		{"a.jpg,-3\n", "line 1"},
		{"a.jpg,\n", "line 1"},
		{",3\n", "line 1"},
		{"a.jpg,99999999999\n", "line 1"},
		{"3\na.jpg,4\n", "line 2"},
		{strings.Repeat("1", 1<<17), "too long"},
	} {
		ordered, named, err := parseLabels(strings.NewReader(c.text))
		if err != nil {
			testkit.WantError(t, err, c.want)
		} else if got := fmt.Sprint(ordered, numbersOf(named)); got != c.want {
			t.Errorf("%q gives %s, want %s", c.text, got, c.want)
		}
	}
}

func numbersOf(n *namedLabels) map[string]int {
	out := map[string]int{}
	if n != nil {
		for name, l := range n.lines {
			out[name] = l.label
		}
	}
	return out
}

// TestLabelsByName: a list of all samples is about each of them once, one with tabs about some.
func TestLabelsByName(t *testing.T) {
	files := []string{"a.jpg", "n1/b.jpg", "n2/c.jpg"}
	for _, c := range []struct{ text, want string }{
		{"a.jpg,1\nn1/b.jpg,2\nn2/c.jpg,3\n", "[1 2 3]"},
		{"a.jpg,1\nb.jpg,2\nc.jpg,3\n", "[1 2 3]"},
		{"val/a.jpg 1\nval/b.jpg 2\nval/c.jpg 3\n", "[1 2 3]"},
		{"c.jpg,x\na.jpg,z\nb.jpg,y\n", "[2 1 0]"},
		{"b.jpg\t2\nd.jpg\t4\n", "[-1 2 -1]"},
		{"a.jpg,1\nd.jpg,4\nb.jpg,2\nc.jpg,3\n", "line 2 names d.jpg"},
		{"a.jpg,1\nb.jpg,2\n", "no line names the sample n2/c.jpg"},
		{"x.jpg,1\n", "none of its 1 names"},
		{"x/a.jpg,1\ny/a.jpg,2\nb.jpg,2\nc.jpg,3\n", "line 1 names x/a.jpg"},
	} {
		labels, classes, err := readLabels(write(t, "labels", []byte(c.text)), len(files), files)
		if err != nil {
			testkit.WantError(t, err, "labels", c.want)
		} else if got := fmt.Sprint(labels); got != c.want || (classes != nil) != strings.Contains(c.text, "x\n") {
			t.Errorf("%q gives %s of %q, want %s", c.text, got, classes, c.want)
		}
	}
	_, _, err := readLabels(write(t, "labels", []byte("a.jpg,1\n")), 1, nil)
	testkit.WantError(t, err, "the samples are no files")
}

func FuzzLabels(f *testing.F) {
	f.Add("3\n4\n")
	f.Add("a\t3\nb\t4\n")
	f.Add("a\t3\n4\n")
	f.Add("file,class\na.jpg,dog\n\"b,c.jpg\",cat\n")
	f.Add("a b 3\nc 4\n")
	f.Fuzz(func(t *testing.T, text string) {
		ordered, named, err := parseLabels(strings.NewReader(text))
		if err == nil && ordered != nil && named != nil {
			t.Errorf("%q gives both %v and %v", text, ordered, named)
		}
		for _, label := range slices.AppendSeq(slices.Clone(ordered), maps.Values(numbersOf(named))) {
			if label < 0 {
				t.Errorf("%q gives the label %d", text, label)
			}
		}
		if named != nil {
			_, _ = named.match([]string{"a.jpg", "x/b.jpg"})
		}
	})
}
