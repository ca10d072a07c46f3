import { Argument } from 'commander';
import type { CommandSpec } from '../command.ts';

export const importCommand: CommandSpec = {
  name: 'import',
  help: { description: "print the rules that a peer's documents come to" },
  subcommands: [
    {
      name: 'istio',
      help: {
        description: "print the rules that Istio's security documents come to, as YAML that means the same",
        after: `
A policy reads these documents as they are (docs/istio.md); this command is for looking at their rules, and for going on in
the language of Sluice. Name the whole policy if its settings.istio or its handlers matter to them.`,
      },
      args: [new Argument('<files...>', 'files with documents of Istio, or folders of them')],
      run: async (files: readonly string[]) => (await import('../actions/import-istio.ts')).importIstio(files),
    },
  ],
};
