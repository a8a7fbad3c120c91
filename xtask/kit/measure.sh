#!/bin/sh
# Measures BERT on a device of this machine, beside PyTorch where python3 has it: result.json and result.md.
# Needs a shell and the programs of any Linux; see README.md.
set -u

usage() {
  cat <<'EOF'
usage: measure.sh [OPTIONS]

  --device LABEL       device to measure, as `bert doctor` names it [default: that of the kit]
  --out DIR            where result.json, result.md and the raw records go [default: bert-result]
  --budget SECONDS     when to have ended [default: 450]; steps that do not fit are reported as not run
  --quick              a tiny model and few steps, for drivers that render on the processor
  --python PROGRAM     Python with torch and transformers [default: python3]
  --no-peers           leave PyTorch out
  --peer-device NAME   where PyTorch computes, cpu or cuda [default: cuda where it finds one]
  --preset NAME        size of the model [default: base; tiny with --quick]
  --batch N            rows of a batch [default: 32; 2 with --quick]
  --seq N              tokens of a row [default: 128; 16 with --quick]
EOF
}

kit=$(cd "$(dirname "$0")" && pwd) || exit 1
bert=$kit/bert
device=
out=bert-result budget=450 quick=0 python=python3 peers=1 peer_device=
preset= batch= seq=

die() {
  echo "measure.sh: $*" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ;;
    --no-peers) peers=0 ;;
    -h | --help)
      usage
      exit 0
      ;;
    --device | --out | --budget | --python | --peer-device | --preset | --batch | --seq)
      [ $# -gt 1 ] || die "$1 takes a value"
      case $1 in
        --device) device=$2 ;;
        --out) out=$2 ;;
        --budget) budget=$2 ;;
        --python) python=$2 ;;
        --peer-device) peer_device=$2 ;;
        --preset) preset=$2 ;;
        --batch) batch=$2 ;;
        --seq) seq=$2 ;;
      esac
      shift
      ;;
    *) die "unknown option $1; --help shows them" ;;
  esac
  shift
done
[ -n "$device" ] || device=$(sed -n 's/^ *"device": *"\(.*\)".*/\1/p' "$kit/kit.json" 2>/dev/null)
[ -n "$device" ] || die "name a device with --device"
case $budget in '' | *[!0-9]*) die "--budget is $budget: give whole seconds" ;; esac

began=$(date +%s)
deadline=$((began + budget))
mkdir -p "$out/raw" || exit 1
out=$(cd "$out" && pwd) || exit 1
rm -f "$out"/raw/* "$out/result.json" "$out/result.md"
log=$out/log.txt
: >"$log"

# Everything that a driver, CubeCL or PyTorch remembers begins empty, so that first iterations are first ones; and the
# machine is left as it was.
work=$(mktemp -d "${TMPDIR:-/tmp}/bert-kit.XXXXXX") || exit 1
child=
trap 'rm -rf "$work"' EXIT
trap '[ -n "$child" ] && kill "$child" 2>/dev/null; exit 130' INT TERM
mkdir -p "$work/cache"
export XDG_CACHE_HOME="$work/cache" TMPDIR="$work"
export CUDA_CACHE_PATH="$work/cache/nv" __GL_SHADER_DISK_CACHE_PATH="$work/cache/gl" MESA_SHADER_CACHE_DIR="$work/cache/mesa"
cd "$work" || exit 1

say() { echo "$*" | tee -a "$log" >&2; }

# --- JSON and Markdown without a program for them ------------------------------------------------------------------

json() { # TEXT: a string, or null for nothing
  if [ -z "$1" ]; then
    printf null
  else
    printf '"%s"' "$(printf %s "$1" | tr -d '\r' | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"
  fi
}

field() { # NAME FILE: the first string of that name in a JSON file
  tr -d '\n' 2>/dev/null <"$2" | grep -o "\"$1\" *: *\"[^\"]*\"" | head -n 1 | sed 's/^"[^"]*" *: *"//; s/"$//'
}

largest() { # NAME FILE: the largest number of that name in a JSON file, which writes null for what is none
  tr -d '\n' 2>/dev/null <"$2" | grep -o "\"$1\" *: *[^,}]*" | awk -F: '
    /null/ { none = 1 } { if ($2 + 0 > most) most = $2 + 0; seen = 1 }
    END { if (none) print "no number"; else if (seen) printf "%.1e\n", most }'
}

whole() { # FILE: whether it ends as a JSON object does
  [ -s "$1" ] && [ "$(tr -d ' \n' <"$1" | tail -c 1)" = "}" ]
}

# --- steps ---------------------------------------------------------------------------------------------------------

records= # of `bert bench`, for the table
: >"$work/steps.json"
: >"$work/steps.md"

report() { # NAME STATUS SECONDS REMARK COMMAND RECORD
  [ -s "$work/steps.json" ] && echo , >>"$work/steps.json"
  {
    printf '{"name": %s, "status": %s, "seconds": %s, "remark": %s, "command": %s, "record": ' \
      "$(json "$1")" "$(json "$2")" "$3" "$(json "$4")" "$(json "$5")"
    if [ -n "$6" ] && whole "$6"; then cat "$6"; else printf null; fi
    printf '}'
  } >>"$work/steps.json"
  remark=$(printf %s "$4" | tr '\n' ' ' | sed 's/|/\\|/g')
  printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$remark" >>"$work/steps.md"
  say "$1: $2, $3 s${4:+; $4}"
}

left() {
  rest=$((deadline - $(date +%s)))
  [ "$rest" -gt 0 ] || rest=0
  echo "$rest"
}

# SECONDS COMMAND...: runs it in place of this shell, which is one in parentheses or in the background; at the limit it
# ends with all that it started.
limited() {
  seconds=$1
  shift
  if command -v timeout >/dev/null 2>&1; then
    exec timeout -k 3 "$seconds" "$@"
  fi
  exec "$@"
}

# NAME LEAST OUTPUT COMMAND...: runs the command for what is left of the budget, if that is LEAST seconds or more, with
# its standard output in raw/NAME.json (OUTPUT stdout) or raw/NAME.md (OUTPUT record, which writes raw/NAME.json itself).
step() {
  name=$1 least=$2 output=$3
  shift 3
  rest=$(left)
  text=$(echo "$*" | sed "s|$kit/||g; s|$out/||g; s|$work/||g")
  if [ "$rest" -lt "$least" ]; then
    report "$name" "not run" 0 "$rest s were left of the budget of $budget s, and it takes $least s or more" "$text" ""
    return 1
  fi
  raw=$out/raw/$name.json
  shown=$raw
  [ "$output" = record ] && shown=$out/raw/$name.md
  say "--- $name: $text"
  start=$(date +%s)
  limited "$rest" "$@" >"$shown" 2>"$work/errors" </dev/null &
  child=$!
  wait "$child"
  code=$?
  child=
  took=$(($(date +%s) - start))
  cat "$work/errors" >>"$log"
  remark=
  case $code in
    0) status=ok ;;
    124 | 137) status="timed out" remark="ended after $took s, when the budget of $budget s was spent" ;;
    *)
      status=failed
      remark=$(grep -v '^[[:space:]]*$' "$work/errors" | tail -n 1)
      remark="${remark:-it gave no reason} (exit code $code)"
      ;;
  esac
  return 0
}

# NAME MODE TYPE PEERS OPTIONS...: a measurement, in which no contestant takes more than its share of what is left.
bench() {
  id=$1-$3 mode=$2 dtype=$3 with=$4
  shift 4
  contestants=$(($(echo "$with" | tr ',' '\n' | grep -c .) + 1))
  rest=$(left)
  each=$(((rest - 10) / contestants))
  [ "$each" -gt "$limit" ] && each=$limit
  raw=$out/raw/$id.json
  set -- --devices "$device" --mode "$mode" --dtype "$dtype" --rounds 1 --time-limit "$each" --json "$raw" "$@"
  [ -n "$with" ] && set -- "$@" --peers "$with" --peers-dir "$work/peers" --peer-device "$peer_device"
  step "$id" $((contestants * 10 + 10)) record "$bert" bench "$@" || return 0
  whole "$raw" && records="$records $id"
  [ "$status" = ok ] && remark=$(row_troubles "$raw")
  report "$id" "$status" "$took" "$remark" "$text" "$raw"
}

row_troubles() { # FILE: what went wrong with a contestant of a record
  tr -d '\n' <"$1" | grep -o '"reason" *: *"[^"]*"' | sed 's/^"reason" *: *"//; s/"$//' | sort -u | tr '\n' ';' |
    sed 's/;$//; s/;/; /g'
}

# --- the machine ---------------------------------------------------------------------------------------------------

# Drivers that a container's host mounts come without their file in the place where the Vulkan loader looks.
vulkan_driver() {
  [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && return
  ls /etc/vulkan/icd.d/*nvidia* /usr/share/vulkan/icd.d/*nvidia* >/dev/null 2>&1 && return
  for file in /usr/local/nvidia/share/vulkan/icd.d/*.json; do
    if [ -e "$file" ]; then
      export VK_ADD_DRIVER_FILES="$file"
      return
    fi
  done
  libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null)
  for library in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
    case $library:$libraries in
      libGLX*libX11.so.6*libGLX_nvidia.so.0* | libGLX*libGLX_nvidia.so.0*libX11.so.6* | libEGL*libEGL_nvidia.so.0*)
        printf '{"file_format_version": "1.0.1", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}\n' \
          "$library" >"$work/nvidia_icd.json"
        export VK_ADD_DRIVER_FILES="$work/nvidia_icd.json"
        return
        ;;
    esac
  done
}
vulkan_driver

peer_versions= peer_problem=
if [ "$peers" = 0 ]; then
  peer_problem="left out by --no-peers"
else
  python=$(command -v "$python" || echo "$python")
  look='import torch, transformers
print(torch.__version__, transformers.__version__, "cuda" if torch.cuda.is_available() else "cpu")'
  found=$(limited $((budget / 5 + 1)) "$python" -c "$look" 2>"$work/errors")
  code=$?
  [ "$code" = 124 ] && echo "not imported within $((budget / 5 + 1)) s" >>"$work/errors"
  if [ "$code" = 0 ]; then
    found=$(echo "$found" | tail -n 1)
    peer_versions="torch ${found%% *}, transformers $(echo "$found" | cut -d ' ' -f 2)"
    [ -n "$peer_device" ] || peer_device=${found##* }
    # Where `bert bench` looks for the interpreter of its peers.
    mkdir -p "$work/peers/venv/bin"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$work/peers/venv/bin/python"
    chmod 755 "$work/peers/venv/bin/python"
  else
    peers=0
    peer_problem="$python does not import torch and transformers: $(tail -n 1 "$work/errors")"
  fi
fi
sdpa= eager= all=
if [ "$peers" = 1 ]; then
  sdpa=transformers
  eager=transformers,transformers-eager
  all=$eager
  # TF32 is a format of NVIDIA's cards.
  [ "$peer_device" = cuda ] && all=$eager,transformers-tf32
fi

smi=$(limited 20 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null)
version=$("$bert" --version 2>&1 | tail -n 1)
through=machine
"$kit/bin/bert" --version >/dev/null 2>&1 || through=kit
say "$version on $device; C library of the $through; PyTorch: ${peer_versions:-$peer_problem}${peer_versions:+ on $peer_device}"

# --- what is measured, the most telling first ----------------------------------------------------------------------

if [ "$quick" = 1 ]; then
  : "${preset:=tiny}" "${batch:=2}" "${seq:=16}"
  few="--seconds 0 --warmup-seconds 0 --min-samples 3 --max-samples 3"
  limit=$budget steps=220 memory_preset=tiny memory_shape="--batch-sizes 1 --seq-lengths 8"
else
  : "${preset:=base}" "${batch:=32}" "${seq:=128}"
  few="--seconds 2 --warmup-seconds 3 --min-samples 5"
  limit=100 steps=300 memory_preset=mini memory_shape="--batch-sizes 8 --seq-lengths 64"
fi
shape="--preset $preset --batch-sizes $batch --seq-lengths $seq"
# What the backends have and what cards are fastest in.
case $device in
  cuda* | rocm* | libtorch*) first=bf16 second=f16 ;;
  *) first=f16 second=bf16 ;;
esac
many="--seconds 0 --warmup-seconds 0 --min-samples $steps --max-samples $steps"

if step doctor 10 stdout "$bert" doctor --json --devices "$device" --timeout "$(left)"; then
  reason=$(field reason "$raw")
  [ -n "$reason" ] && remark=$reason
  if [ "$status" = ok ]; then
    remark="values within $(largest forward "$raw"), gradients within $(largest gradients "$raw") of float64"
  fi
  report doctor "$status" "$took" "$remark" "bert doctor --json --devices $device" "$raw"
fi
if step compare 10 stdout "$bert" compare --json --model "$kit/model" --devices "flex,$device"; then
  [ "$status" = ok ] && remark="values within $(largest max_abs "$raw") of flex"
  report compare "$status" "$took" "$remark" "bert compare --json --model model --devices flex,$device" "$raw"
fi
# shellcheck disable=SC2086 # several options in each
{
  bench forward forward f32 "$all" $shape $few
  bench train train f32 "$all" $shape $few
  bench pretrain pretrain f32 "$sdpa" $shape $few
  bench memory train f32 "" --preset $memory_preset $memory_shape $many
  bench forward forward "$first" "$eager" $shape $few
  bench train train "$first" "$eager" $shape $few
  bench pretrain pretrain "$first" "$sdpa" $shape $few
  bench forward forward "$second" "$sdpa" $shape $few
  bench train train "$second" "$sdpa" $shape $few
  bench pretrain pretrain "$second" "$sdpa" $shape $few
}

# --- one file and one page -----------------------------------------------------------------------------------------

adapter=$out/raw/forward-f32.json
tr -d '\n' 2>/dev/null <"$adapter" | grep -o '"adapter" *: *{[^}]*}' | head -n 1 >"$work/adapter"
card=$(field name "$work/adapter")
driver=$(field driver "$work/adapter")
if [ -z "$card" ] && [ -n "$smi" ]; then
  card=$(echo "$smi" | head -n 1 | cut -d , -f 1)
  driver=$(echo "$smi" | head -n 1 | cut -d , -f 2)
fi
took=$(($(date +%s) - began))
system=$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release 2>/dev/null)

{
  printf '{"format": 1, "card": %s, "driver": %s, "device": %s,\n' "$(json "$card")" "$(json "$driver")" "$(json "$device")"
  printf '"program": %s, "c_library": %s, "system": %s, "kernel": %s, "nvidia_smi": %s,\n' "$(json "$version")" \
    "$(json "$through")" "$(json "$system")" "$(json "$(uname -srm)")" "$(json "$smi")"
  printf '"peers": %s, "peer_device": %s, "peers_missing": %s,\n' "$(json "$peer_versions")" "$(json "$peer_device")" \
    "$(json "$peer_problem")"
  printf '"quick": %s, "began": %s, "budget_seconds": %s, "seconds": %s,\n' \
    "$([ "$quick" = 1 ] && echo true || echo false)" "$began" "$budget" "$took"
  printf '"steps": [\n'
  cat "$work/steps.json"
  printf '\n]}\n'
} >"$out/result.json"

files=
for id in $records; do files="$files raw/$id.json"; done
{
  printf '## %s\n\n' "${card:-$device}"
  printf 'Device `%s`, driver %s; %s, %s, on %s.\n' "$device" "${driver:-unknown}" "$version" "C library of the $through" \
    "${system:-$(uname -s)} (kernel $(uname -r))"
  [ -n "$smi" ] && printf 'nvidia-smi: %s.\n' "$(echo "$smi" | head -n 1)"
  printf 'PyTorch: %s.\n' "${peer_versions:-$peer_problem}${peer_versions:+ on $peer_device}"
  printf 'Measured by `measure.sh%s` on %s in %s s of %s.\n\n' "$([ "$quick" = 1 ] && echo ' --quick')" \
    "$(date -u +%Y-%m-%d)" "$took" "$budget"
  # shellcheck disable=SC2086 # names without spaces
  if [ -n "$files" ]; then (cd "$out" && "$bert" bench table $files 2>>"$log") || echo 'The records could not be shown: see log.txt.'; fi
  printf '\n| step | outcome | seconds | remark |\n| --- | --- | ---: | --- |\n'
  cat "$work/steps.md"
} >"$out/result.md"

say "wrote $out/result.json and $out/result.md in $took s"
grep -q '"status": "ok"' "$work/steps.json"
