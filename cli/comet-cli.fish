# Completion of comet-cli for fish. It asks the program itself, so that it knows what this version knows.
# SPDX-License-Identifier: MIT

function __comet_cli_offers
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] complete $words[2..] 2>/dev/null </dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c comet-cli -f -a '(__comet_cli_offers)'
