import { Argument } from 'commander';
import type { CommandSpec } from '../command.ts';
import { SHELLS, type Shell } from '../shell/completion.ts';

export const completion: CommandSpec = {
  name: 'completion',
  help: {
    summary: 'print completion for bash, zsh or fish',
    description: 'Prints a script that completes commands, flags and their values.',
    after: `
bash:  source <(sluice completion bash)        in ~/.bashrc
zsh:   source <(sluice completion zsh)         in ~/.zshrc, after compinit
fish:  sluice completion fish | source         in ~/.config/fish/config.fish`,
  },
  args: [new Argument('<shell>', 'the shell').choices(SHELLS)],
  run: async (shell: Shell) => (await import('../actions/shell.ts')).completion(shell),
};

export const man: CommandSpec = {
  name: 'man',
  help: {
    summary: 'print the man page',
    description: 'Prints the man page of all commands, for man: sluice man > /usr/local/share/man/man1/sluice.1',
  },
  run: async () => (await import('../actions/shell.ts')).man(),
};
