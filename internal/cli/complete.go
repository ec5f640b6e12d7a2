package cli

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rkt/internal/image/fetch"
)

// completer returns what a word may become. Each entry may have a description
// after a tab.
type completer func(ctx context.Context, toComplete string) ([]string, cobra.ShellCompDirective)

// files leaves completing to the shell.
func files(context.Context, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func directories(context.Context, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func nothing(context.Context, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// oneOf completes a word to one of some.
func oneOf(words ...string) completer {
	return func(_ context.Context, toComplete string) ([]string, cobra.ShellCompDirective) {
		return matching(words, toComplete), cobra.ShellCompDirectiveNoFileComp
	}
}

// listOf completes the last element of a list with commas.
func listOf(words ...string) completer {
	return func(_ context.Context, toComplete string) ([]string, cobra.ShellCompDirective) {
		begun := toComplete[:strings.LastIndex(toComplete, ",")+1]
		var lists []string
		for _, word := range matching(words, toComplete[len(begun):]) {
			lists = append(lists, begun+word)
		}
		return lists, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

func matching(words []string, begun string) []string {
	var matches []string
	for _, word := range words {
		if strings.HasPrefix(word, begun) {
			matches = append(matches, word)
		}
	}
	return matches
}

// flagCompleters says how to complete the values of flags. A flag that isn't
// here takes something that only the user knows.
func (p *program) flagCompleters() map[string]completer {
	return map[string]completer{
		"dir": directories, "system-config": directories, "local-config": directories, "user-config": directories,
		"insecure-options": listOf(insecureNames()...),
		"format":           oneOf(string(formatJSON), string(formatJSONPretty)),
		"pull-policy":      oneOf(string(fetch.PullNew), string(fetch.PullNever), string(fetch.PullUpdate)),
		"order":            oneOf("asc", "desc"),
		"sort":             oneOf(imageFieldNames(true)...),
		"fields":           listOf(imageFieldNames(false)...),
		"readonly-rootfs":  oneOf("true", "false"),
		stage1Name:         p.completeImages, stage1Hash: p.completeImageIDs, stage1Path: files,
		"signature": files, "uuid-file": files, "uuid-file-save": files, "set-env-file": files, "pod-manifest": files,
	}
}

// addCompletion gives all commands below cmd what completes their words. Which
// arguments they take is in their usage.
func (p *program) addCompletion(cmd *cobra.Command) {
	completers := p.flagCompleters()
	complete := func(flag *pflag.Flag) {
		complete := completers[flag.Name]
		if complete == nil {
			complete = nothing
		}
		_ = cmd.RegisterFlagCompletionFunc(flag.Name,
			func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
				return complete(cmd.Context(), toComplete)
			})
	}
	cmd.LocalFlags().VisitAll(complete)
	switch {
	case len(cmd.ValidArgs) > 0 || cmd.HasSubCommands():
	case cmd.DisableFlagParsing:
		cmd.ValidArgsFunction = p.completeApps
	case strings.Contains(cmd.Use, "UUID"):
		cmd.ValidArgsFunction = arguments(p.completePods, strings.Contains(cmd.Use, "UUID…"))
	case strings.Contains(cmd.Use, "IMAGE"):
		cmd.ValidArgsFunction = arguments(p.completeImages, strings.Contains(cmd.Use, "IMAGE…"))
	case strings.Contains(cmd.Use, "KEY"), strings.Contains(cmd.Use, "FILE"):
		cmd.ValidArgsFunction = arguments(files, true)
	default:
		cmd.ValidArgsFunction = arguments(nothing, true)
	}
	for _, sub := range cmd.Commands() {
		p.addCompletion(sub)
	}
}

// arguments completes the first argument, or each of several. What follows a
// single one are the shell's words.
func arguments(complete completer, several bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !several {
			return files(cmd.Context(), toComplete)
		}
		return complete(cmd.Context(), toComplete)
	}
}

// completeApps completes the words of a command with images, each with flags and
// arguments of its own.
func (p *program) completeApps(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	switch inArgs := p.skim(cmd, args); {
	case inArgs && strings.HasPrefix(toComplete, "-"):
		// It would be the app's flag, and those of rkt are offered already.
		return nil, cobra.ShellCompDirectiveError
	case inArgs:
		return files(cmd.Context(), toComplete)
	}
	if name, value, ok := strings.Cut(toComplete, "="); ok && strings.HasPrefix(name, "--") {
		return completeValue(cmd, name[2:], value)
	}
	if len(args) > 0 && strings.HasPrefix(args[len(args)-1], "--") {
		flag := cmd.Flag(args[len(args)-1][2:])
		if flag != nil && flag.NoOptDefVal == "" {
			return completeValue(cmd, flag.Name, toComplete)
		}
	}
	if strings.HasPrefix(toComplete, "-") {
		return nothing(cmd.Context(), toComplete) // names of flags are there already
	}
	return p.completeImages(cmd.Context(), toComplete)
}

// skim sets the global flags that are among the words, which nobody else has
// done for such a command, and says whether the next word is an app's.
func (p *program) skim(cmd *cobra.Command, words []string) (inArgs bool) {
	for i, word := range words {
		if inArgs = word == "--" || inArgs && word != "---"; inArgs {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		flag := cmd.InheritedFlags().Lookup(name)
		switch {
		case flag == nil || !strings.HasPrefix(word, "--"):
			continue
		case !ok && flag.NoOptDefVal != "":
			value = flag.NoOptDefVal
		case !ok && i+1 < len(words):
			value = words[i+1]
		}
		_ = flag.Value.Set(value) // what is wrong is said when the line is run
	}
	return inArgs
}

func completeValue(cmd *cobra.Command, flag, value string) ([]string, cobra.ShellCompDirective) {
	if complete, ok := cmd.GetFlagCompletionFunc(flag); ok {
		return complete(cmd, nil, value)
	}
	return nothing(cmd.Context(), value)
}

// hasData says whether there is anything to ask about: completing a word makes
// no directories.
func (p *program) hasData() bool {
	dir, err := p.dataDir()
	if err != nil {
		return false
	}
	_, err = os.Stat(dir)
	return err == nil
}

// completePods completes UUIDs.
func (p *program) completePods(ctx context.Context, toComplete string) ([]string, cobra.ShellCompDirective) {
	pods, err := p.pods()
	if err != nil || !p.hasData() {
		return nothing(ctx, toComplete)
	}
	var found []string
	for opened, err := range pods.All() {
		if err != nil {
			continue
		}
		if info, err := opened.Info(); err == nil && strings.HasPrefix(info.UUID, strings.ToLower(toComplete)) {
			words := []string{string(info.State)}
			for _, app := range info.Apps {
				words = append(words, string(app.Name))
			}
			found = append(found, info.UUID+"\t"+printable(strings.Join(words, " ")))
		}
		_ = opened.Close()
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeImages completes the names of stored images, and files where there are
// none.
func (p *program) completeImages(ctx context.Context, toComplete string) ([]string, cobra.ShellCompDirective) {
	var names []string
	p.eachImage(ctx, func(id, name string) { names = append(names, name+"\t"+id[:min(len(id), shortImageID)]) })
	return matching(names, toComplete), cobra.ShellCompDirectiveDefault
}

func (p *program) completeImageIDs(ctx context.Context, toComplete string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	p.eachImage(ctx, func(id, name string) { ids = append(ids, id+"\t"+name) })
	return matching(ids, toComplete), cobra.ShellCompDirectiveNoFileComp
}

// eachImage calls do with all stored images, as far as they can be read.
func (p *program) eachImage(ctx context.Context, do func(id, name string)) {
	if !p.hasData() {
		return
	}
	images, err := p.openStore()
	if err != nil {
		return
	}
	defer images.Close()
	all, _, err := images.List(ctx)
	if err != nil {
		return
	}
	for _, stored := range all {
		do(stored.ID, imageName(stored.Manifest))
	}
}
