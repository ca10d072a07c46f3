import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { type Capability, CAPABILITIES } from '../../adapters/contract.ts';
import { builtIns } from '../../adapters/loading/built-in.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { PACKAGE_FOLDER, VERSION } from '../package.ts';
import { pluginFiles } from '../plugin-template/template.ts';
import { printOut } from '../terminal.ts';

export interface NewPluginFlags {
  readonly serves: string;
  readonly sluice?: string;
}

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** Writes the folder NAME below the working directory. It must not exist, or be empty. */
export async function newPlugin(name: string, { serves, sluice = `^${VERSION}` }: NewPluginFlags): Promise<ExitCode> {
  if (!NAME.test(name))
    throw new CliError(
      'CLI_USAGE',
      `"${name}" must be a name in kebab-case, such as check-hours${name.startsWith('@') ? "; it is the adapter's, and the package may have a scope: write that in package.json later" : ''}`,
    );
  if (builtIns().names().includes(name))
    throw new CliError(
      'CLI_USAGE',
      `Sluice itself has an adapter named ${name}, so a plugin of this name would not load; choose another one`,
    );
  const folder = resolve(name);
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new CliError('CLI_FOLDER_EXISTS', `${folder} exists and is not empty`);
  const files = pluginFiles({
    name,
    serves: capabilitiesOf(serves),
    sluice: fromFolder(sluice, folder),
    versions: versions(),
  });
  for (const [path, text] of files) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  printOut(`wrote ${[...files.keys()].map((path) => join(name, path)).join(', ')}`);
  printOut(`next: cd ${name} && npm install && npm test`);
  return EXIT.ok;
}

function capabilitiesOf(serves: string): ReadonlySet<Capability> {
  const named = serves.split(',').map((one) => one.trim());
  for (const one of named)
    if (!(CAPABILITIES as readonly string[]).includes(one))
      throw new CliError(
        'CLI_USAGE',
        `--serves names "${one}"; expected some of ${CAPABILITIES.join(', ')}, separated by commas`,
      );
  return new Set(named as Capability[]);
}

/** A path counts from the working directory for its user, and from the new folder for npm. */
function fromFolder(sluice: string, folder: string): string {
  const path = sluice.startsWith('file:') ? sluice.slice('file:'.length) : sluice;
  return path !== sluice || /^[./]/.test(path) || path.endsWith('.tgz')
    ? `file:${relative(folder, resolve(path))}`
    : sluice;
}

/** The versions that this Sluice was made with. */
function versions(): Parameters<typeof pluginFiles>[0]['versions'] {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(
    readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8'),
  ) as Readonly<Record<'dependencies' | 'devDependencies', Readonly<Record<string, string>> | undefined>>;
  const of = (name: string): string => dependencies[name] ?? devDependencies[name] ?? '*';
  return { node: of('node'), typescript: of('typescript'), zod: of('zod'), '@types/node': of('@types/node') };
}
