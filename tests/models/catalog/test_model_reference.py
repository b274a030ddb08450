from __future__ import annotations

import pytest

from qwen3_chat.models.catalog import ModelReference


@pytest.mark.parametrize(
    ("text", "name", "selector", "is_repository"),
    [
        ("8B", "8B", None, False),
        ("8B:Q4_K_M", "8B", "Q4_K_M", False),
        ("8B:", "8B", "", False),
        ("", "", None, False),
        ("unsloth/Qwen3-8B-GGUF", "unsloth/Qwen3-8B-GGUF", None, True),
        ("a/b:Q8_0/c-00001-of-00002.gguf", "a/b", "Q8_0/c-00001-of-00002.gguf", True),
        ("a/b:c:d", "a/b", "c:d", True),
    ],
)
def test_a_reference_splits_at_its_first_colon_and_gives_its_text_back(
    text: str, name: str, selector: str | None, is_repository: bool
) -> None:
    reference = ModelReference.parse(text)
    assert (reference.name, reference.selector, reference.is_repository) == (name, selector, is_repository)
    assert str(reference) == text


FILE = "Qwen3-8B-Q4_K_M.gguf"
OF_UNSLOTH = "unsloth/Qwen3-8B-GGUF"
COMMIT = "7c41481f57cb95916b40956ab2f0b139b296d974"
PASTED = {
    # addresses of Hugging Face and its mirrors
    f"https://huggingface.co/{OF_UNSLOTH}": OF_UNSLOTH,
    f"http://www.huggingface.co/{OF_UNSLOTH}/": OF_UNSLOTH,
    f"HTTPS://HuggingFace.co/{OF_UNSLOTH}": OF_UNSLOTH,
    f"https://huggingface.co/{OF_UNSLOTH}/tree/main": OF_UNSLOTH,
    f"https://huggingface.co/{OF_UNSLOTH}/tree/main/Q8_0": f"{OF_UNSLOTH}:Q8_0",
    f"https://huggingface.co/{OF_UNSLOTH}/blob/main/{FILE}": f"{OF_UNSLOTH}:{FILE}",
    f"https://huggingface.co/{OF_UNSLOTH}/resolve/main/{FILE}?download=true": f"{OF_UNSLOTH}:{FILE}",
    f"huggingface.co/{OF_UNSLOTH}/resolve/main/BF16/a%20b.gguf#top": f"{OF_UNSLOTH}:BF16/a b.gguf",
    f"https://huggingface.co/{OF_UNSLOTH}?show_file_info={FILE}": f"{OF_UNSLOTH}:{FILE}",
    f"https://huggingface.co/{OF_UNSLOTH}?local-app=ollama": OF_UNSLOTH,
    f"https://huggingface.co/{OF_UNSLOTH}/discussions/3": OF_UNSLOTH,
    f"https://huggingface.co/api/models/{OF_UNSLOTH}/tree/main": OF_UNSLOTH,
    f"https://hf-mirror.com/{OF_UNSLOTH}": OF_UNSLOTH,
    f"hf.co/{OF_UNSLOTH}:Q4_K_M": f"{OF_UNSLOTH}:Q4_K_M",
    f"hf.co/{OF_UNSLOTH}:Q4": f"{OF_UNSLOTH}:Q4",
    f"hf.co/{OF_UNSLOTH}:latest": OF_UNSLOTH,
    f"https://hf.co/{OF_UNSLOTH}": OF_UNSLOTH,
    f"hf://{OF_UNSLOTH}/{FILE}": f"{OF_UNSLOTH}:{FILE}",
    f"hf:{OF_UNSLOTH}": OF_UNSLOTH,
    # addresses of ModelScope
    f"https://modelscope.cn/models/{OF_UNSLOTH}": OF_UNSLOTH,
    f"https://www.modelscope.cn/models/{OF_UNSLOTH}/summary": OF_UNSLOTH,
    f"https://modelscope.cn/models/{OF_UNSLOTH}/files": OF_UNSLOTH,
    f"https://modelscope.cn/models/{OF_UNSLOTH}/file/view/master/{FILE}?status=2": f"{OF_UNSLOTH}:{FILE}",
    f"https://modelscope.cn/models/{OF_UNSLOTH}/file/view/master?fileName={FILE}": f"{OF_UNSLOTH}:{FILE}",
    f"https://modelscope.cn/models/{OF_UNSLOTH}/resolve/master/{FILE}": f"{OF_UNSLOTH}:{FILE}",
    f"https://modelscope.cn/api/v1/models/{OF_UNSLOTH}/repo?Revision=master&FilePath={FILE}": (
        f"{OF_UNSLOTH}:{FILE}"
    ),
    f"https://www.modelscope.ai/models/{OF_UNSLOTH}": OF_UNSLOTH,
    f"modelscope.cn/{OF_UNSLOTH}:Q8_0": f"{OF_UNSLOTH}:Q8_0",
    # addresses as programs, pages and chats write them
    f"https://HuggingFace.co:443/{OF_UNSLOTH}": OF_UNSLOTH,
    f"https://somebody@huggingface.co/{OF_UNSLOTH}": OF_UNSLOTH,
    f"//huggingface.co/{OF_UNSLOTH}": OF_UNSLOTH,
    f"HTTPS://HUGGINGFACE.CO/{OF_UNSLOTH}/BLOB/main/{FILE}": f"{OF_UNSLOTH}:{FILE}",
    f"https://huggingface.co/{OF_UNSLOTH}.git": OF_UNSLOTH,
    f"git@hf.co:{OF_UNSLOTH}.git": OF_UNSLOTH,
    f"https://huggingface.co/{OF_UNSLOTH}/blob/main/README.md": OF_UNSLOTH,
    f"https://huggingface.co/{OF_UNSLOTH}?utm_source=chatgpt.com": OF_UNSLOTH,
    f"[Qwen3-8B-GGUF](https://huggingface.co/{OF_UNSLOTH})": OF_UNSLOTH,
    f"Try https://huggingface.co/{OF_UNSLOTH} (it is fast).": OF_UNSLOTH,
    f"https://huggingface.co/{OF_UNSLOTH}).": OF_UNSLOTH,
    "https://ollama.com/library/qwen3/tags": "8B",
    "https://ollama.com/library/qwen3:8b-q4_K_M": "8B:Q4_K_M",
    "https://lmstudio.ai/models/qwen/qwen3-8b": "8B",
    "https://hub.docker.com/r/ai/qwen3": "8B",
    # names of Ollama
    "qwen3": "8B",
    "qwen3:latest": "8B",
    "qwen3:8b": "8B",
    "qwen3:0.6b": "0.6B",
    "Qwen3:8B": "8B",
    "qwen3:8b-q4_K_M": "8B:Q4_K_M",
    "qwen3:8b-fp16": "8B:BF16",
    "qwen3:30b": "30B-A3B",
    "qwen3:30b-a3b": "30B-A3B",
    "qwen3:30b-a3b-instruct-2507-q8_0": "30B-A3B-Instruct-2507:Q8_0",
    "qwen3:4b-thinking": "4B-Thinking-2507",
    "library/qwen3:14b": "14B",
    "https://ollama.com/library/qwen3:32b": "32B",
    "registry.ollama.ai/library/qwen3": "8B",
    "qwen3-coder": "Coder-30B-A3B-Instruct",
    "qwen3-coder:latest": "Coder-30B-A3B-Instruct",
    "qwen3-coder:30b": "Coder-30B-A3B-Instruct",
    "ollama run qwen3-coder:30b-a3b-q8_0": "Coder-30B-A3B-Instruct:Q8_0",
    "https://ollama.com/library/qwen3-coder:30b": "Coder-30B-A3B-Instruct",
    "qwen3-next:80b": "Next-80B-A3B-Instruct",
    "qwen3-next:80b-a3b-thinking-q4_K_M": "Next-80B-A3B-Thinking:Q4_K_M",
    "qwen3-next:80b-thinking": "Next-80B-A3B-Thinking",
    "qwen3-vl:8b": "VL-8B-Instruct",
    "qwen3-vl:30b-a3b-instruct-q4_K_M": "VL-30B-A3B-Instruct:Q4_K_M",
    "qwen3.5:35b": "Qwen3.5-35B-A3B",
    "qwen3.6": "Qwen3.6-27B",
    "qwen3.6:27b-q4_K_M": "Qwen3.6-27B:Q4_K_M",
    "qwen3.5-35b-a3b-q4_k_m.gguf": "Qwen3.5-35B-A3B:Q4_K_M",
    "qwen3-coder:480b": "qwen3-coder:480b",
    "qwen3-embedding:0.6b": "qwen3-embedding:0.6b",
    # files, and repositories that hold no GGUF file
    FILE: "8B:Q4_K_M",
    "qwen3-30b-a3b-ud-q4_k_xl.gguf": "30B-A3B:UD-Q4_K_XL",
    "Qwen3-8B-GGUF": "8B",
    "Qwen3-8B-GGUF:Q8_0": "8B:Q8_0",
    "Qwen/Qwen3-8B": "8B",
    "https://huggingface.co/Qwen/Qwen3-4B-Instruct-2507": "4B-Instruct-2507",
    f"{OF_UNSLOTH}/{FILE}": f"{OF_UNSLOTH}:{FILE}",
    "Qwen3-8B-Q4_K_M-00001-of-00002.gguf": "8B:Q4_K_M",
    # other separators
    "8B Q4_K_M": "8B:Q4_K_M",
    "8B@Q4_K_M": "8B:Q4_K_M",
    "8B/Q4_K_M": "8B:Q4_K_M",
    "8b-q4_k_m": "8B:Q4_K_M",
    "30B-A3B-Instruct-2507": "30B-A3B-Instruct-2507",
    f"{OF_UNSLOTH}@Q4_K_M": f"{OF_UNSLOTH}:Q4_K_M",
    f"{OF_UNSLOTH} UD-Q4_K_XL": f"{OF_UNSLOTH}:UD-Q4_K_XL",
    "ai/qwen3:8B-Q4_K_M": "8B:Q4_K_M",
    # commands
    f"git clone https://huggingface.co/{OF_UNSLOTH}": OF_UNSLOTH,
    f"curl -L -o m.gguf https://huggingface.co/{OF_UNSLOTH}/resolve/main/{FILE}": f"{OF_UNSLOTH}:{FILE}",
    f"./llama-cli -hf {OF_UNSLOTH}:Q8_0": f"{OF_UNSLOTH}:Q8_0",
    "sudo /usr/bin/ollama pull qwen3:8b": "8B",
    "lms get qwen/qwen3-8b@q4_k_m": "8B:Q4_K_M",
    "docker model pull ai/qwen3:8B-Q4_K_M": "8B:Q4_K_M",
    "vllm serve Qwen/Qwen3-8B": "8B",
    'AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-8B")': "8B",
    "ollama run qwen3:8b": "8B",
    "$ ollama pull qwen3:8b-q8_0": "8B:Q8_0",
    'ollama run qwen3:8b "Hello there"': "8B",
    f"ollama run hf.co/{OF_UNSLOTH}:Q4_K_M": f"{OF_UNSLOTH}:Q4_K_M",
    f"llama-cli -hf {OF_UNSLOTH}:Q4_K_M --jinja": f"{OF_UNSLOTH}:Q4_K_M",
    f"hf download {OF_UNSLOTH} {FILE}": f"{OF_UNSLOTH}:{FILE}",
    f'huggingface-cli download {OF_UNSLOTH} --include "*Q4_K_M*"': f"{OF_UNSLOTH}:Q4_K_M",
    f"modelscope download --model {OF_UNSLOTH}": OF_UNSLOTH,
    f"wget https://huggingface.co/{OF_UNSLOTH}/resolve/main/{FILE}": f"{OF_UNSLOTH}:{FILE}",
    "qwen3-chat pull 8B:Q8_0": "8B:Q8_0",
    # what surrounds a name in a message
    "  8B:Q8_0\n": "8B:Q8_0",
    "\u200b8B\uff1aQ8_0\u3002": "8B:Q8_0",
    f"<https://huggingface.co/{OF_UNSLOTH}>": OF_UNSLOTH,
    f"“{OF_UNSLOTH}:Q8_0”": f"{OF_UNSLOTH}:Q8_0",
    f"`{OF_UNSLOTH}`": OF_UNSLOTH,
    "Qwen3 8B": "Qwen3 8B",
}


@pytest.mark.parametrize(("text", "name"), PASTED.items(), ids=PASTED)
def test_a_name_may_be_pasted_as_other_programs_and_pages_write_it(text: str, name: str) -> None:
    for pasted in (text, f"  {text} \n"):
        reference = ModelReference.parse(pasted)
        assert (str(reference), reference.revision) == (name, None)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/unsloth/Qwen3-8B-GGUF",
        "https://huggingface.co.example.com/unsloth/Qwen3-8B-GGUF",
        "https://huggingface.co",
        "https://huggingface.co/unsloth",
        "https://huggingface.co/datasets/a/b",
        "https://ollama.com/somebody/qwen3",
        "https://[::1",
        "ftp://huggingface.co/a/b",
    ],
)
def test_another_address_names_nothing(text: str) -> None:
    reference = ModelReference.parse(text)
    assert (reference.name, reference.selector) == (text, None)


def test_an_address_may_hold_a_revision() -> None:
    reference = ModelReference.parse(f"https://huggingface.co/{OF_UNSLOTH}/resolve/{COMMIT}/{FILE}")
    assert (str(reference), reference.revision) == (f"{OF_UNSLOTH}:{FILE}", COMMIT)


def test_the_address_of_a_mirror_in_use_counts() -> None:
    text = f"http://mirror.example:8080/{OF_UNSLOTH}/blob/main/{FILE}"
    assert str(ModelReference.parse(text, ["Mirror.example:8080"])) == f"{OF_UNSLOTH}:{FILE}"
