import { EXIT, type ExitCode } from '../exit-codes.ts';
import { VERSION } from '../package.ts';
import { COMMANDS } from '../program.ts';
import { completionScript, type Shell } from '../shell/completion.ts';
import { manPage } from '../shell/man-page.ts';
import { print } from '../terminal.ts';

export async function completion(shell: Shell): Promise<ExitCode> {
  print(process.stdout, completionScript(shell, COMMANDS));
  return EXIT.ok;
}

export async function man(): Promise<ExitCode> {
  print(process.stdout, manPage(COMMANDS, VERSION));
  return EXIT.ok;
}
