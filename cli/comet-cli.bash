# Completion of comet-cli for bash. It asks the program itself, so that it knows what this version knows.
# SPDX-License-Identifier: MIT

_comet_cli() {
	local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]} command=${COMP_WORDS[1]} words
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="--help --version $("$program" --help 2>/dev/null | sed -n 's/^  comet-cli \([a-z]*\)   .*/\1/p')"
	elif [[ $word == -* ]]; then
		words=$("$program" "$command" --help 2>/dev/null </dev/null | grep -oE '^ +(-[a-zA-Z], )?--[a-z0-9-]+' | grep -oE -- '--.*')
		words+=' --help'
	elif [ "$COMP_CWORD" -eq 2 ]; then
		# What is pushed to, kicked or counted comes right after the command.
		words=$("$program" "$command" --help 2>/dev/null </dev/null |
			sed -nE "s/^  comet-cli $command \[options\] \[?([a-z]+).*/\1/p")
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _comet_cli comet-cli
