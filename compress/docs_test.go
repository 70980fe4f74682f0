package compress

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/costs"
)

// TestDocumentedFields holds the JSON documentation against the types: every
// field that scripts can meet is named there.
func TestDocumentedFields(t *testing.T) {
	text, err := os.ReadFile("../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []any{Result{}, Inspection{}, Verification{}, MethodList{}, Plan{}, TuneResult{}, Exploration{}, Benchmark{}, costs.Machine{}, costs.Model{}, costs.Point{}, costs.Fit{}} {
		for _, name := range jsonNames(reflect.TypeOf(root), map[reflect.Type]bool{}) {
			if !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+name+"[]`") && !strings.Contains(string(text), "."+name+"`") {
				t.Errorf("docs/json.md does not name the field %q of %T", name, root)
			}
		}
	}
	for _, schema := range []string{ResultSchema, InspectionSchema, VerificationSchema, MethodsSchema, PlanSchema, TuningSchema, ExplorationSchema, BenchmarkSchema, costs.Schema} {
		if !strings.Contains(string(text), schema) {
			t.Errorf("docs/json.md does not name the schema %q", schema)
		}
	}
}

// jsonNames lists the JSON names of a type's fields, and of the types inside it.
func jsonNames(t reflect.Type, seen map[reflect.Type]bool) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return nil
	}
	seen[t] = true
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" { // "-" is no field of the JSON
			out = append(out, name)
		}
		out = append(out, jsonNames(f.Type, seen)...)
	}
	return out
}
