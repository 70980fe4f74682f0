package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCompletion sources each shell's script in that shell, and asks it what can stand next.
func TestCompletion(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "model one.onnx"), "")
	path := "PATH=" + bin(t) + string(filepath.ListSeparator) + os.Getenv("PATH")
	for shell, ask := range map[string]func(line string) []string{
		"bash": func(line string) []string {
			return []string{"--noprofile", "--norc", "-c", `source <(onnx-compress completion bash)
				COMP_WORDS=(` + line + `); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _onnx_compress; printf '%s\n' "${COMPREPLY[@]}"`}
		},
		"zsh": func(line string) []string {
			// Outside of completion there is no widget, so what it would be given is printed.
			return []string{"-f", "-c", `autoload -Uz compinit; compinit -u -D; source <(onnx-compress completion zsh)
				[[ $_comps[onnx-compress] == _onnx_compress ]] || exit 1
				_describe() { print -l -- "${(P@)2}" }; compadd() { shift 3; print -l -- "$@" }; _files() { print -l -- *(N) }
				words=(` + line + `); CURRENT=$#words; _onnx_compress`}
		},
		"fish": func(line string) []string {
			return []string{"--no-config", "-c", "onnx-compress completion fish | source; complete -C '" + strings.ReplaceAll(line, `""`, "") + "'"}
		},
	} {
		t.Run(shell, func(t *testing.T) {
			program := need(t, shell)
			env := []string{path, "HOME=" + t.TempDir(), "TERM=dumb"}
			for line, want := range map[string][]string{
				`onnx-compress sta`:                       {"status"},
				`onnx-compress verify --req`:              {"--require"},
				`onnx-compress verify --require clas`:     {"class-drop="},
				`onnx-compress net.onnx --search compo`:   {"composite"},
				`onnx-compress net.onnx --normalize ""`:   {"imagenet", "cifar10", "half"},
				`onnx-compress inspect mod`:               {"model one.onnx"},
				`onnx-compress net.onnx --target=par`:     {"params="},
				`onnx-compress explore net.onnx --over b`: {"bytes"},
				`onnx-compress status x.onnx --any`:       {"--any-data"},
				`onnx-compress completion z`:              {"zsh"},
			} {
				if shell == "bash" {
					line = strings.ReplaceAll(line, "=", " = ") // as it breaks words
				}
				code, out := runIn(t, folder, env, program, ask(line)...)
				out = strings.ReplaceAll(out, `\ `, " ")
				for _, w := range want {
					if code != 0 || !strings.Contains(out, w) {
						t.Errorf("%s: exit code %d, %q; want %q", line, code, out, w)
					}
				}
				if strings.Contains(out, "error") || strings.Contains(out, "not found") {
					t.Errorf("%s: %s", line, out)
				}
			}
		})
	}
}

// TestManualPage formats the manual with what is there to format it.
func TestManualPage(t *testing.T) {
	folder := t.TempDir()
	page := filepath.Join(folder, "onnx-compress.1")
	write(t, page, tool(t, folder, 0, "man"))
	t.Run("mandoc", func(t *testing.T) {
		program := need(t, "mandoc")
		_, out := runIn(t, folder, nil, program, "-T", "lint", "onnx-compress.1")
		for line := range strings.Lines(out) {
			if !strings.Contains(line, "missing date") { // there is none, so that the same text gives the same page
				t.Error(line)
			}
		}
	})
	t.Run("groff", func(t *testing.T) {
		program := need(t, "groff")
		code, out := runIn(t, folder, nil, program, "-man", "-Tascii", "-ww", "-P-c", "onnx-compress.1")
		if code != 0 || strings.Contains(out, "warning") || strings.Contains(out, "error:") {
			t.Errorf("exit code %d: %s", code, out[:min(len(out), 2000)])
		}
		out = regexp.MustCompile(`.\x08`).ReplaceAllString(out, "") // bold, as terminals of old had it
		for _, want := range []string{"--max-shrink", "onnx-compress verify ORIGINAL COMPRESSED", "*/conv1"} {
			if !strings.Contains(out, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
	})
}
