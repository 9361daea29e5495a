//! What this process gives up before it reads a byte, so that a hostile stream that gets the better of FFmpeg has nothing:
//! no files, no network, no other process, and only so much memory and time.
//!
//! Each layer holds by itself. Where the kernel lacks one, the others are still put on.

use std::collections::BTreeMap;
use std::fmt;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What may be mapped in all, FFmpeg's own libraries included: enough for 4K pictures in H.265.
const ADDRESS_SPACE_BYTES_MAX: u64 = 1 << 30;
/// The three that are open, and what FFmpeg makes of them with dup.
const OPEN_FILES_MAX: u64 = 16;
/// What one picture may cost of the CPU.
const PICTURE_CPU_S_MAX: u64 = 30;

/// A layer of the sandbox, and whether it is on.
pub struct Layer {
    name: &'static str,
    state: Result<(), String>,
}

impl Layer {
    fn new<E: fmt::Display>(name: &'static str, state: Result<(), E>) -> Self {
        let state = state.map_err(|error| error.to_string());
        Self { name, state }
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.state.is_ok()
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            Ok(()) => write!(f, "{}: on", self.name),
            Err(why) => write!(f, "{}: off, {why}", self.name),
        }
    }
}

/// Ends with the parent, gains no rights, leaves no core file, and has limits. `is_short` also bounds the CPU's time.
pub fn limit(is_short: bool) -> Layer {
    let cpu = is_short.then_some((Resource::Cpu, PICTURE_CPU_S_MAX));
    let limits = [
        (Resource::As, ADDRESS_SPACE_BYTES_MAX),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, OPEN_FILES_MAX),
        (Resource::Nproc, 0),
    ];
    let limits = limits.into_iter().chain(cpu).map(|(what, most)| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        rustix::process::setrlimit(what, limit)
    });
    let others = [
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)),
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable),
        rustix::thread::set_no_new_privs(true),
    ];
    // Each for itself: one that the caller's own limits forbid takes none of the others away.
    let refused = limits.chain(others).fold(Ok(()), Result::and);
    Layer::new("limits", refused)
}

/// No file can be opened and no address connected to; what is open stays open.
pub fn close_files() -> Layer {
    let abi = ABI::V6;
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .and_then(|ruleset| ruleset.create())
        .and_then(|ruleset| ruleset.restrict_self());
    let restricted = match restricted {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            Err("this kernel has no landlock".to_owned())
        }
        restricted => restricted.map(drop).map_err(|error| error.to_string()),
    };
    Layer::new("landlock", restricted)
}

/// Of the kernel's calls, those that reading, computing and writing need. All others are refused.
pub fn refuse_calls() -> Layer {
    let applied = filter()
        .and_then(|filter| seccompiler::apply_filter(&filter).map_err(|error| error.to_string()));
    Layer::new("seccomp", applied)
}

fn filter() -> Result<BpfProgram, String> {
    let arch = std::env::consts::ARCH
        .try_into()
        .map_err(|error: seccompiler::BackendError| error.to_string())?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    allowed()
        .and_then(|rules| SeccompFilter::new(rules, refused, SeccompAction::Allow, arch))
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let freely = FREELY.iter().chain(FREELY_HERE);
    rules.extend(freely.map(|call| (*call, Vec::new())));
    // All code was loaded before: no memory becomes code any more.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let prot_exec = libc::PROT_EXEC.unsigned_abs().into();
        rules.insert(
            call,
            vec![argument(2, SeccompCmpOp::MaskedEq(prot_exec), 0)?],
        );
    }
    for command in [
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_DUPFD_CLOEXEC,
    ] {
        let rule = argument(1, SeccompCmpOp::Eq, command.unsigned_abs().into())?;
        rules.entry(libc::SYS_fcntl).or_default().push(rule);
    }
    // `abort` signals its own process.
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let own = argument(0, SeccompCmpOp::Eq, own.unsigned_abs().into())?;
    rules.insert(libc::SYS_tgkill, vec![own]);
    Ok(rules)
}

fn argument(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}

/// Calls that are harmless whatever they are called with.
const FREELY: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Those that newer architectures do without.
#[cfg(target_arch = "x86_64")]
const FREELY_HERE: &[i64] = &[libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const FREELY_HERE: &[i64] = &[];
