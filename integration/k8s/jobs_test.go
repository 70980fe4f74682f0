// Package k8s holds the Jobs that `onnx-compress scale kubernetes` prints against Kubernetes' own types, and runs their commands as its
// controller would.
package k8s

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// program runs onnx-compress, which is on PATH, in a folder.
func program(t *testing.T, folder string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("onnx-compress", args...)
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("onnx-compress %q: %v", args, err)
	}
	return out
}

// jobs decodes a manifest. A field that no Job has is an error.
func jobs(t *testing.T, manifest []byte) []batch.Job {
	t.Helper()
	var out []batch.Job
	for _, text := range bytes.Split(manifest, []byte("\n---\n"))[1:] {
		var job batch.Job
		if err := yaml.UnmarshalStrict(text, &job); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		out = append(out, job)
	}
	return out
}

// tasks are how many pods a Job runs, each with its index.
func tasks(j *batch.Job) int {
	if j.Spec.Completions == nil {
		return 1
	}
	return int(*j.Spec.Completions)
}

func TestJobs(t *testing.T) {
	if _, err := exec.LookPath("onnx-compress"); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for to, from := range map[string]string{"Net 1.onnx": "fashion_resnet.onnx", "data.bin": "fashion.bin"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "testmodels", "data", from))
		if err != nil {
			t.Fatal(err)
		}
		if to == "data.bin" {
			data = data[:785*160]
		}
		if err := os.WriteFile(filepath.Join(folder, to), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	flags := []string{"Net 1.onnx", "--calib", "data.bin", "--batch", "4", "--methods", "svd", "--target", "macs=0.6", "--memory", "1GiB"}
	program(t, folder, append(flags, "-o", "plain.onnx", "-q")...)
	list := jobs(t, program(t, folder, append([]string{"scale", "kubernetes", "--parts", "3", "-o", "made.onnx"}, flags...)...))

	var steps []string
	for i := range list {
		j := &list[i]
		step := j.Labels["step"]
		steps = append(steps, step)
		if j.APIVersion != "batch/v1" || j.Kind != "Job" || j.Name != "model-net-1-"+step || j.Spec.Template.Labels["step"] != step {
			t.Errorf("%s: %+v", step, j.ObjectMeta)
		}
		indexed := j.Spec.CompletionMode != nil && *j.Spec.CompletionMode == batch.IndexedCompletion
		if want := step == "calibrate" || step == "factor"; indexed != want || want && (tasks(j) != 3 || j.Spec.BackoffLimitPerIndex == nil) || !want && j.Spec.BackoffLimit == nil {
			t.Errorf("%s: %+v", step, j.Spec)
		}
		checkPolicy(t, j)
		for k := range tasks(j) {
			c := j.Spec.Template.Spec.Containers[0]
			for range 2 { // a pod may run again
				cmd := exec.Command(c.Command[0], c.Command[1:]...)
				cmd.Dir, cmd.Stderr = folder, os.Stderr
				cmd.Env = append(os.Environ(), fmt.Sprintf("JOB_COMPLETION_INDEX=%d", k))
				if err := cmd.Run(); err != nil {
					t.Fatalf("%s, index %d: %v\n%s", step, k, err, c.Command)
				}
				if step == "write" {
					break
				}
			}
		}
	}
	if got := strings.Join(steps, " "); got != "calibrate merge factor write" {
		t.Errorf("the steps are %s", got)
	}
	want, err := os.ReadFile(filepath.Join(folder, "plain.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(folder, "made.onnx")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the Jobs make other bytes than one command: %v", err)
	}
}

// checkPolicy wants pods that fail for what cannot come right to end the Job, and no others, and what the API server asks of a policy.
func checkPolicy(t *testing.T, j *batch.Job) {
	t.Helper()
	pod := j.Spec.Template.Spec
	if pod.RestartPolicy != core.RestartPolicyNever || j.Spec.PodFailurePolicy == nil || len(pod.Containers) != 1 {
		t.Fatalf("%s: %+v", j.Name, j.Spec)
	}
	for code := int32(1); code < 256; code++ {
		final, uncounted := false, false
		for _, rule := range j.Spec.PodFailurePolicy.Rules {
			if on := rule.OnExitCodes; on != nil {
				if on.ContainerName == nil || *on.ContainerName != pod.Containers[0].Name || on.Operator != batch.PodFailurePolicyOnExitCodesOpIn {
					t.Fatalf("%s: %+v", j.Name, on)
				}
				uncounted = uncounted || rule.Action == batch.PodFailurePolicyActionIgnore && slices.Contains(on.Values, code)
				final = final || rule.Action == batch.PodFailurePolicyActionFailJob && slices.Contains(on.Values, code)
			}
		}
		if uncounted != (code == 8) {
			t.Errorf("%s: code %d is not counted: %t", j.Name, code, uncounted)
		}
		if want := code >= 2 && code <= 6; final != want {
			t.Errorf("%s: code %d ends the Job: %t", j.Name, code, final)
		}
	}
	if pod.ActiveDeadlineSeconds == nil || *pod.ActiveDeadlineSeconds < 600 {
		t.Errorf("%s: %v seconds", j.Name, pod.ActiveDeadlineSeconds)
	}
	memory := pod.Containers[0].Resources.Limits.Memory()
	if memory.IsZero() || memory.Cmp(*pod.Containers[0].Resources.Requests.Memory()) != 0 || (memory.Value() > 1<<30) != (j.Labels["step"] != "merge") {
		t.Errorf("%s: %+v", j.Name, pod.Containers[0].Resources)
	}
}
