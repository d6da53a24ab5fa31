// `scorpio completions`: completion scripts, made from the commands themselves.
import type { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import { ExitCode } from '../exit-codes.ts';

/** The words that may follow `scorpio` and a subcommand; `''` is before any. */
type Words = ReadonlyMap<string, readonly string[]>;

function optionsOf(command: Command): string[] {
  return command.options
    .filter((option) => !option.hidden)
    .flatMap((option) => [option.short, option.long])
    .filter((name) => name !== undefined);
}

function collectWords(program: Command): Words {
  const shared = [...optionsOf(program), '-h', '--help'];
  const words = new Map([['', [...program.commands.map((command) => command.name()), ...shared]]]);
  for (const command of program.commands) {
    const inner = command.commands;
    // `config` has subcommands of its own, whose few options are offered together.
    words.set(command.name(), [
      ...inner.map((sub) => sub.name()),
      ...inner.flatMap(optionsOf),
      ...optionsOf(command),
      ...shared,
    ]);
  }
  return words;
}

function bashScript(words: Words): string {
  const cases = [...words].map(
    ([name, list]) => `    ${name === '' ? "''" : name}) words='${list.join(' ')}' ;;`,
  );
  return `_scorpio() {
  local current=\${COMP_WORDS[COMP_CWORD]} command='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      ${[...words.keys()].filter(Boolean).join('|')}) command=$word; break ;;
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
  const lines = program.commands.map(
    (command) =>
      `complete -c scorpio -n __fish_use_subcommand -a ${command.name()} -d ${quote(command.description())}`,
  );
  const add = (command: Command, condition: string): void => {
    for (const option of command.options.filter((each) => !each.hidden && each.long)) {
      const short = option.short ? ` -s ${option.short.slice(1)}` : '';
      const value = option.required ? ' -r' : '';
      const name = option.long?.slice(2) ?? '';
      lines.push(
        `complete -c scorpio${condition}${short} -l ${name}${value} -d ${quote(option.description)}`,
      );
    }
  };
  add(program, '');
  for (const command of program.commands) {
    const condition = ` -n '__fish_seen_subcommand_from ${command.name()}'`;
    add(command, condition);
    for (const sub of command.commands) {
      lines.push(`complete -c scorpio${condition} -a ${sub.name()} -d ${quote(sub.description())}`);
      add(sub, condition);
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
