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
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "model one.onnx"), "")
	path := "PATH=" + bin(t) + string(filepath.ListSeparator) + os.Getenv("PATH")
	for shell, ask := range map[string]func(line string) []string{
		"bash": func(line string) []string {
			// compopt works within completion only.
			return []string{"--noprofile", "--norc", "-c", `source "$BASH_COMPLETION" && source <(onnx-compress completion bash) && compopt() { :; }
				COMP_LINE='` + line + `'; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; read -ra COMP_WORDS <<<"${COMP_LINE//=/ = }"
				[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
				__start_onnx-compress; printf '%s\n' "${COMPREPLY[@]}"`}
		},
		"zsh": func(line string) []string {
			// Outside of completion there is no widget, so what it would be given is printed.
			return []string{"-f", "-c", `autoload -Uz compinit; compinit -u -D; source <(onnx-compress completion zsh)
				[[ $_comps[onnx-compress] == _onnx-compress ]] || exit 1
				_describe() { print -l -- "${completions[@]}" }; _arguments() { print -l -- *(N) }
				words=(` + strings.TrimSpace(line) + `); [[ '` + line + `' == *' ' ]] && words+=(""); CURRENT=$#words; _onnx-compress`}
		},
		"fish": func(line string) []string {
			return []string{"--no-config", "-c", "onnx-compress completion fish | source; complete -C '" + line + "'"}
		},
	} {
		t.Run(shell, func(t *testing.T) {
			program := need(t, shell)
			env := []string{path, "HOME=" + t.TempDir(), "TERM=dumb"}
			if shell == "bash" {
				// Cobra's script needs the package bash-completion.
				const script = "/usr/share/bash-completion/bash_completion"
				if _, err := os.Stat(script); err != nil {
					t.Skipf("bash-completion is not installed: %v", err)
				}
				env = append(env, "BASH_COMPLETION="+script)
			}
			for line, want := range map[string][]string{
				`onnx-compress sta`:                       {"status"},
				`onnx-compress verify --req`:              {"--require"},
				`onnx-compress verify --require clas`:     {"class-drop="},
				`onnx-compress net.onnx --search compo`:   {"composite"},
				`onnx-compress net.onnx --normalize `:     {"imagenet", "cifar10", "half"},
				`onnx-compress inspect mod`:               {"model one.onnx"},
				`onnx-compress net.onnx --target=par`:     {"params="},
				`onnx-compress explore net.onnx --over b`: {"bytes"},
				`onnx-compress status x.onnx --any`:       {"--any-data"},
				`onnx-compress completion z`:              {"zsh"},
			} {
				code, out := runIn(t, folder, env, program, ask(line)...)
				out = strings.ReplaceAll(out, `\ `, " ")
				for _, w := range want {
					if code != 0 || !strings.Contains(out, w) {
						t.Errorf("%s: exit code %d, %q; want %q", line, code, out, w)
					}
				}
				if strings.Contains(out, "error:") || strings.Contains(out, "not found") {
					t.Errorf("%s: %s", line, out)
				}
			}
		})
	}
}

// TestManualPages formats the manual with what is there to format it.
func TestManualPages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	tool(t, folder, 0, "man", ".")
	pages, err := filepath.Glob(filepath.Join(folder, "*.1"))
	if err != nil || len(pages) < 16 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	t.Run("mandoc", func(t *testing.T) {
		program := need(t, "mandoc")
		_, out := runIn(t, folder, nil, program, append([]string{"-T", "lint", "-W", "warning"}, pages...)...)
		for line := range strings.Lines(out) {
			if !strings.Contains(line, "cannot parse date") { // which cobra writes without the day
				t.Error(line)
			}
		}
	})
	t.Run("groff", func(t *testing.T) {
		program := need(t, "groff")
		code, out := runIn(t, folder, nil, program, append([]string{"-man", "-Tascii", "-ww", "-P-c"}, pages...)...)
		if code != 0 || strings.Contains(out, "warning") || strings.Contains(out, "error:") {
			t.Errorf("exit code %d: %s", code, out[:min(len(out), 2000)])
		}
		out = regexp.MustCompile(`.\x08`).ReplaceAllString(out, "") // bold, as terminals of old had it
		for _, want := range []string{"--max-shrink", "onnx-compress verify ORIGINAL COMPRESSED", "*/conv1"} {
			if !strings.Contains(out, want) {
				t.Errorf("the pages lack %q", want)
			}
		}
	})
}
