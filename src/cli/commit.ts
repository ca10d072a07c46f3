/** The commit of a checkout, read from git's files, so that `--version` does not run git. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ID = /^[0-9a-f]{40,64}$/;

/** The id of the commit; `undefined` if `folder` is not the root of a checkout, or has no commit yet. */
export function commitOf(folder: string): string | undefined {
  const own = gitFolder(folder);
  const shared = resolve(own, text(join(own, 'commondir')) ?? '.'); // in a worktree, branches are elsewhere
  let name = text(join(own, 'HEAD'));
  for (let links = 0; name?.startsWith('ref: ') === true && links < MAX_LINKS; links++) {
    const ref = name.slice('ref: '.length);
    name = text(join(own, ref)) ?? text(join(shared, ref)) ?? packed(shared, ref);
  }
  return name !== undefined && ID.test(name) ? name : undefined;
}

const MAX_LINKS = 5;

/** In a worktree or submodule, `.git` is a file that points to the folder. */
function gitFolder(folder: string): string {
  const git = join(folder, '.git');
  const link = /^gitdir: (.*)$/.exec(text(git) ?? '')?.[1];
  return link === undefined ? git : resolve(folder, link);
}

function packed(shared: string, ref: string): string | undefined {
  return text(join(shared, 'packed-refs'))
    ?.split('\n')
    .find((line) => line.endsWith(` ${ref}`))
    ?.split(' ')[0];
}

function text(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
