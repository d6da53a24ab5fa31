// `scorpio completions`: completion scripts, made from the commands themselves.
import type { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';

/** The words that may follow `scorpio` and its subcommands so far (`lfs checkout`); `''` is before any. */
type Words = ReadonlyMap<string, readonly string[]>;

function optionsOf(command: Command): string[] {
  return command.options
    .filter((option) => !option.hidden)
    .flatMap((option) => [option.short, option.long])
    .filter((name) => name !== undefined);
}

function collectWords(program: Command): Words {
  const shared = [...optionsOf(program), '-h', '--help'];
  const words = new Map<string, readonly string[]>();
  const collect = (command: Command, path: string): void => {
    const own = command === program ? [] : optionsOf(command);
    words.set(path, [...command.commands.map((sub) => sub.name()), ...own, ...shared]);
    for (const sub of command.commands) collect(sub, path === '' ? sub.name() : `${path} ${sub.name()}`);
  };
  collect(program, '');
  return words;
}

function bashScript(words: Words): string {
  const cases = [...words].map(([path, list]) => `    '${path}') words='${list.join(' ')}' ;;`);
  const paths = [...words.keys()].filter(Boolean).map((path) => `'${path}'`);
  return `_scorpio() {
  local current=\${COMP_WORDS[COMP_CWORD]} command='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${command:+$command }$word" in
      ${paths.join('|')}) command="\${command:+$command }$word" ;;
    esac
  done
  case $command in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _scorpio scorpio
`;
}

function zshScript(words: Words): string {
  return `#compdef scorpio
autoload -U +X bashcompinit && bashcompinit
${bashScript(words)}`;
}

function fishScript(program: Command): string {
  const quote = (text: string): string => `'${text.replaceAll("'", String.raw`\'`)}'`;
  const lines: string[] = [];
  const offer = (command: Command, condition: string): void => {
    lines.push(`complete -c scorpio -n ${condition} -a ${command.name()} -d ${quote(command.description())}`);
  };
  const add = (command: Command, condition: string): void => {
    for (const option of command.options.filter((each) => !each.hidden && each.long)) {
      const short = option.short ? ` -s ${option.short.slice(1)}` : '';
      const value = option.required ? ' -r' : '';
      const name = option.long?.slice(2) ?? '';
      const when = condition === '' ? '' : ` -n ${condition}`;
      lines.push(`complete -c scorpio${when}${short} -l ${name}${value} -d ${quote(option.description)}`);
    }
  };
  add(program, '');
  for (const command of program.commands) {
    const seen = `__fish_seen_subcommand_from ${command.name()}`;
    offer(command, '__fish_use_subcommand');
    add(command, `'${seen}'`);
    for (const sub of command.commands) {
      offer(sub, `'${seen}'`);
      add(sub, `'${seen}; and __fish_seen_subcommand_from ${sub.name()}'`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Prints the script for `shell`. Throws CliError with exit code 2 for one that is not known. */
export function runCompletions(program: Command, shell: string): number {
  const scripts: Readonly<Record<string, () => string>> = {
    bash: () => bashScript(collectWords(program)),
    zsh: () => zshScript(collectWords(program)),
    fish: () => fishScript(program),
  };
  const script = scripts[shell];
  if (!script)
    throw new CliError(
      `error: there are completions for bash, zsh and fish, not for ${shell}`,
      ExitCode.config,
    );
  process.stdout.write(script());
  return ExitCode.ok;
}
