package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

// newRoot is the program as a tree of commands, in the order of the help text.
func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "onnx-compress COMMAND",
		Short: "make trained ONNX models smaller and faster",
		Long: `Makes trained ONNX models smaller and faster: replaces layers by chains of
low-rank factors, all ranks chosen together, and verifies what it wrote. Without
a --target, as small as they can be with next to nothing lost on unseen samples.

Targets (--target KIND=VALUE; several hold): what is kept, and what it takes
  agree=99%  cosine=0.99  boxes=98%  iou=97%  cer=1%  snr=30dB  kl=0.05
  ppl=+2%  drop=0.5%   macs=0.5  params=2M  bytes=20MB  latency=12ms`,
		Example: `  onnx-compress model.onnx --calib images/
  onnx-compress model.onnx -o small.onnx --calib images/ --target macs=0.5
  onnx-compress init model.onnx    # asks, and writes onnx-compress.yaml`,
		Annotations: map[string]string{notesOf: `
Exit codes:
  0  done
  1  failed; nothing was written
  2  the command line makes no sense
  3  a target cannot be met; nothing was written
  4  a compressed model is stale
  5  a bound that was required does not hold, or a model could shrink
  6  without samples: random inputs show that a result is destroyed
  7  the process that ran the model died: a library crashed, or memory ran out
  8  interrupted; nothing was written, but what is whole by then and is named
With nothing changed 1, 7 and 8 may come right another time, the others not.`},
		// The first word may be a model, too.
		ValidArgsFunction:     cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		PersistentPreRunE:     useConfig,
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(flagFault)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd) })
	root.AddCommand(
		newCompress(s), newExplore(s), newInspect(s), newInit(s), newTune(s), newReport(), newVerify(s), newBench(s), newTime(s), newStatus(s), newCheck(s), newConvert(s), newShard(s), newScale(s),
		newMethods(s), newSetup(s), newDoctor(s), newConfig(s),
	)
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			restateCompletion(c)
		}
	}
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultHelpCmd()
	root.AddCommand(newMan(), newVersion(s))
	root.Annotations[orderOf] = "compress init explore inspect tune report verify bench time status check convert shard scale methods setup doctor config completion man help version"
	return root
}

// restateCompletion gives cobra's own command our words.
func restateCompletion(cmd *cobra.Command) {
	shells := each(cmd.Commands(), (*cobra.Command).Name)
	for _, c := range cmd.Commands() {
		c.Args = noArgs
	}
	cmd.Use += " " + strings.Join(shells, "|")
	cmd.Short = "print a script that completes commands in a shell"
	cmd.Long = "Prints a script that completes commands, flags and their values."
	cmd.Example = `  # bash, with the package bash-completion
  source <(onnx-compress completion bash)
  # zsh, behind compinit
  source <(onnx-compress completion zsh)
  # fish
  onnx-compress completion fish | source
  # powershell
  onnx-compress completion powershell | Out-String | Invoke-Expression`
	cmd.Args = nil
	cmd.RunE = wantsOneOf(shells)
}

// wantsOneOf refuses words behind a command that is none without another one, of those named.
func wantsOneOf(names []string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		word := strings.Join(args, " ")
		return usagef("%s %s: want one of %s%s", cmd.Name(), word, strings.Join(names, ", "), suggest.Phrase(word, names))
	}
}

// withDefault adds the word compress where the first is no command, but a model or a flag.
func withDefault(root *cobra.Command, args []string) []string {
	if len(args) == 0 {
		return []string{"help"}
	}
	switch word, rest := args[0], args[1:]; word {
	case "-h", "--help":
		return append([]string{"help"}, rest...)
	case "--version":
		return append([]string{"version"}, rest...)
	case cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		if len(rest) > 1 || len(rest) == 1 && strings.HasPrefix(rest[0], "-") { // else the first word is still being written
			return append([]string{word}, withDefault(root, rest)...)
		}
		return args
	}
	if slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == args[0] }) {
		return args
	}
	return append([]string{"compress"}, args...)
}

// meant says which command a stray word that is no file may have been.
func meant(root *cobra.Command, word string) string {
	if word == "" || strings.ContainsAny(word, "./\\") {
		return ""
	}
	return suggest.Phrase(word, each(inOrder(root), (*cobra.Command).Name))
}

// flagFault makes pflag's errors those of the command line, with what a mistyped flag was meant to be.
func flagFault(cmd *cobra.Command, err error) error {
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		if near, ok := suggest.Nearest(unknown.GetSpecifiedName(), flagNames(flagsOf(cmd.Flags()))); ok {
			return usagef("%w (did you mean --%s?)", err, near)
		}
	}
	return usagef("%w", err)
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, got %q", cmd.Name(), args)
	}
	return nil
}
