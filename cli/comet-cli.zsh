#compdef comet-cli
# Completion of comet-cli for zsh. It asks the program itself, so that it knows what this version knows.
# SPDX-License-Identifier: MIT

local -a offers
local line
for line in "${(@f)$("${words[1]}" complete "${(@)words[2,CURRENT]}" 2>/dev/null </dev/null)}"; do
	if [[ $line == :files ]]; then
		_files
	elif [[ -n $line ]]; then
		# A colon ends the word.
		offers+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
	fi
done
_describe 'comet-cli' offers
