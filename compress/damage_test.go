package compress

import (
	"errors"
	"math"
	"os"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/verify"
)

// What random inputs show to be destroyed is refused; what they cannot tell is not.
func TestDamaged(t *testing.T) {
	snr := func(v float64) *float64 { return &v }
	classes := func(share float64) *verify.Classes {
		return &verify.Classes{Output: "y", Count: 10, Agreement: share}
	}
	for name, c := range map[string]struct {
		r    verify.Report
		want string
	}{
		"near":            {verify.Report{Outputs: []verify.Output{{Name: "y", SNR: snr(10)}}, Classes: classes(0.5)}, ""},
		"far":             {verify.Report{Outputs: []verify.Output{{Name: "y", SNR: snr(9.9)}, {Name: "z", SNR: snr(2.5)}}}, `output "z" has a signal to noise ratio of 2.5 dB, less than 10 dB`},
		"other classes":   {verify.Report{Outputs: []verify.Output{{Name: "y", SNR: snr(20)}}, Classes: classes(0.375)}, "the same top class for 37.5 % of them, less than 50 %"},
		"other tokens":    {verify.Report{Outputs: []verify.Output{{Name: "y", SNR: snr(20)}}, Language: &verify.Language{Output: "y", Agreement: verify.Estimate{Value: 0.25}}}, "the same token at 25 % of their positions, less than 50 %"},
		"same tokens":     {verify.Report{Outputs: []verify.Output{{Name: "y", SNR: snr(20)}}, Language: &verify.Language{Output: "y", Agreement: verify.Estimate{Value: 0.5}}}, ""},
		"equal":           {verify.Report{Outputs: []verify.Output{{Name: "y"}}, Classes: classes(1)}, ""},
		"counts nothing":  {verify.Report{Outputs: []verify.Output{{Name: "y", SNR: snr(math.Inf(-1)), Ignored: true}}}, ""},
		"nothing to tell": {verify.Report{}, ""},
	} {
		err := damaged(&c.r)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c.want != "" {
			testkit.WantError(t, err, c.want, "Options.AcceptDamage")
		}
	}
}

// A data-free result that is destroyed is not written, unless that is accepted; then the result says that no real data judged it.
func TestDamageIsRefused(t *testing.T) {
	m := zoo(t, "cnn")
	needRuntime(t)
	env := in(t)
	o := RunOptions{Options: Options{Targets: []Target{{Resource: MACs, Value: 0.1, Fraction: true}}}, Output: out(t)}
	_, err := Run(t.Context(), env, m, o)
	damage := (*DamageError)(nil)
	if !errors.As(err, &damage) {
		t.Fatalf("%v, want a *DamageError", err)
	}
	if _, err := os.Stat(o.Output); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the output is there: %v", err)
	}
	o.AcceptDamage = true
	r, err := Run(t.Context(), env, m, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Unjudged == "" {
		t.Error("the result does not say that no real data judged it")
	}
}
