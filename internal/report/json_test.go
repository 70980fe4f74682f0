package report

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
)

// What is made of a result where numbers are not finite encodes as the result itself does where they are.
func TestFinite(t *testing.T) {
	for _, v := range []any{result(), exploration(), unmeasured(), struct {
		*compress.Exploration
		Extra map[string]float64 `json:"extra,omitempty"`
		None  []int              `json:"none"`
		hid   int
	}{exploration(), map[string]float64{"a <b>": 1, "c": 2}, nil, 7}} {
		var want, got bytes.Buffer
		if err := encode(&want, v); err != nil {
			t.Fatal(err)
		}
		if err := encode(&got, finite(reflect.ValueOf(v))); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%T: other JSON:\n%s\nwant\n%s", v, got.String(), want.String())
		}
	}
}

// Numbers that JSON cannot hold are null, wherever they stand.
func TestNotFinite(t *testing.T) {
	r := result()
	r.Sites[1].Loss, r.Plan.Gap = math.Inf(1), math.NaN()
	r.Sites[1].OutputChange = ref(math.Inf(-1))
	var b bytes.Buffer
	if err := JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	site := back["sites"].([]any)[1].(map[string]any)
	if v, there := site["loss"]; !there || v != nil || site["output_change"] != nil || back["plan"].(map[string]any)["gap"] != nil || site["name"] != "stage1.conv1" {
		t.Errorf("%v", back)
	}
	if !strings.HasPrefix(b.String(), "{\n  \"schema\"") || !strings.HasSuffix(b.String(), "}\n") {
		t.Errorf("another order or layout: %.80q…", b.String())
	}
}
