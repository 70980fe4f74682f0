package gate_test

import (
	"fmt"
	"log"
	"os"

	"github.com/onnx-compress/onnx-compress/internal/gate"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Hold a comparison against bounds.
func ExampleJudge() {
	snr := 27.5
	report := &verify.Report{
		Samples: 1000,
		Outputs: []verify.Output{{Name: "logits", Values: 10000, Cosine: 0.999, SNR: &snr}},
		Classes: &verify.Classes{Output: "logits", Count: 10, Agreement: 0.985},
	}
	var required []verify.Bound
	for _, words := range []string{"agree=99%", "snr=25"} {
		r, err := verify.ParseBound(words)
		if err != nil {
			log.Fatal(err)
		}
		required = append(required, r)
	}
	checks := gate.Judge(report, required)
	for _, c := range checks {
		fmt.Printf("%s: %s: found %s: %v\n", c.Name, c.Required, c.Found, c.Holds)
	}
	fmt.Println(len(gate.Failed(checks)), "failed")
	// Output:
	// finite: no NaN or infinity where the original has none: found none: true
	// agree: same top class ≥ 99 %: found 98.5 %: false
	// snr: signal to noise ratio ≥ 25 dB: found 27.5 dB: true
	// 1 failed
}

// The same for people who read Markdown, as on a pull request.
func ExampleMarkdown() {
	report := &verify.Report{
		Original: "model.onnx", Compressed: "small.onnx", Data: "images", Samples: 1000,
		Outputs: []verify.Output{{Name: "embedding", Kind: "embedding", Values: 64000, Cosine: 0.9991, LeastCosine: 0.987}},
	}
	r, err := verify.ParseBound("cosine=0.999")
	if err != nil {
		log.Fatal(err)
	}
	if err := gate.Markdown(os.Stdout, report, gate.Judge(report, []verify.Bound{r})); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ### small.onnx against model.onnx: ✅ passed
	//
	// Its embeddings (embedding) keep a mean cosine of 0.9991 with the original's on 1000 samples, of 0.9870 where it is least.
	//
	// 1000 samples of images
	//
	// | | required | found | where |
	// |---|---|---|---|
	// | ✅ | no NaN or infinity where the original has none | none |  |
	// | ✅ | cosine ≥ 0.999 | 0.9991 | output "embedding" |
	//
	// | output | is | SNR | cosine | mean error | largest error |
	// |---|---|---:|---:|---:|---:|
	// | embedding | embedding | – | 0.99910 | 0 | 0 |
}
