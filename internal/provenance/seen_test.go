package provenance

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/samples"
)

// A record tells which samples the weights were fitted to; where it does not say how many these were, all of the same data were.
func TestSeen(t *testing.T) {
	tuned := map[string]string{"tune": "epochs 3", "seed": "5"}
	for what, c := range map[string]struct {
		record Record
		digest string
		want   int
	}{
		"calibrated":               {Record{Data: File{SHA256: "a"}, Used: 7, Options: map[string]string{"seed": "5"}}, "a", 7},
		"others":                   {Record{Data: File{SHA256: "a"}, Used: 7}, "b", 0},
		"no samples":               {Record{}, "b", 0},
		"an older record":          {Record{Data: File{SHA256: "a"}}, "a", 20},
		"no seed":                  {Record{Data: File{SHA256: "a"}, Used: 7, Options: map[string]string{"seed": "x"}}, "a", 20},
		"tuned on the same":        {Record{Data: File{SHA256: "a"}, Used: 7, Options: tuned}, "a", 20},
		"tuned on others":          {Record{Data: File{SHA256: "a"}, TuneData: File{SHA256: "b"}, Used: 7, Options: tuned}, "a", 7},
		"what it was tuned on":     {Record{Data: File{SHA256: "a"}, TuneData: File{SHA256: "b"}, Used: 7, Options: tuned}, "b", 20},
		"more than there are":      {Record{Data: File{SHA256: "a"}, Used: 70}, "a", 20},
		"neither of those it used": {Record{Data: File{SHA256: "a"}, TuneData: File{SHA256: "b"}, Used: 7, Options: tuned}, "c", 0},
	} {
		got := c.record.Seen(c.digest, 20)
		if len(got) != c.want {
			t.Errorf("%s: %d seen, want %d", what, len(got), c.want)
		}
		drawn, _ := samples.Split(20, 7, 5)
		for _, i := range drawn {
			if c.want == 7 && !got[i] {
				t.Errorf("%s: sample %d calibrated, and is not seen", what, i)
			}
		}
	}
}
