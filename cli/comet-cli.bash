# Completion of comet-cli for bash. It asks the program itself, so that it knows what this version knows.
# SPDX-License-Identifier: MIT

_comet_cli() {
	mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null |
		cut -f1 | grep -v '^:')
}
complete -o default -F _comet_cli comet-cli
