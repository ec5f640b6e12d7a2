package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
)

func (p *program) newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Output shell completion code for bash, zsh or fish",
		Long: `Prints code for the shell to run, such as "source <(rkt completion bash)".
It completes commands, flags and their values, and asks rkt for pods and images.`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, errors.New("must provide the name of one shell"))
			}
			switch args[0] {
			case "bash":
				if _, err := io.WriteString(p.stdout, bashWords); err != nil {
					return err
				}
				return cmd.Root().GenBashCompletionV2(p.stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(p.stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(p.stdout, true)
			}
			return errhint.With(fmt.Errorf("unsupported shell %q", args[0]), "there is completion for bash, zsh and fish")
		},
	}
}

// bashWords is what the package bash-completion would bring: it is not
// everywhere.
const bashWords = `# Without the package bash-completion: the words up to the cursor. Readline has
# split them at = and :, which are joined again.
declare -F _get_comp_words_by_ref >/dev/null || _get_comp_words_by_ref()
{
    local i word line=${COMP_LINE:0:COMP_POINT}
    words=() cword=0
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == 0)) || [[ $line == [[:space:]]* ]]; then
            line=${line#"${line%%[![:space:]]*}"}
            words+=("$word")
        else
            words[-1]+=$word
        fi
        line=${line#"$word"}
    done
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=${words[cword > 0 ? cword - 1 : 0]}
}

`
