"""The GGUF files that repositories publish: names, sizes, checksums, pinned revisions."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Publisher(StrEnum):
    """A publisher of GGUF files; the value is its account on Hugging Face."""

    QWEN = "Qwen"
    UNSLOTH = "unsloth"
    BARTOWSKI = "bartowski"


class ModelFile(Struct, frozen=True):
    """A GGUF file of a repository; `revision` is a commit on Hugging Face, None where none is pinned.

    `size_bytes` is as published, or predicted where `size_is_exact` is False. An unknown `sha256` is None.
    """

    repo: str
    revision: str | None
    filename: str
    quant: str
    size_bytes: int
    sha256: str | None = None
    size_is_exact: bool = True

    @property
    def publisher(self) -> Publisher:
        """The publisher."""
        return Publisher(self.repo.partition("/")[0])

    @property
    def is_on_modelscope(self) -> bool:
        """True if ModelScope has the same file under the same name."""
        return self.publisher is not Publisher.BARTOWSKI


class Repository(Struct, frozen=True):
    """The files of one model; `name_pattern` holds `{quant}`; `published` has quant, bytes and SHA-256.

    `quants_of_derived_size` names the quants whose sizes are not published, but correct to 32 bytes here.
    """

    repo: str
    revision: str | None
    name_pattern: str
    published: tuple[tuple[str, int, str | None], ...]
    quants_of_derived_size: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The files in the order of the listing."""
        return tuple(
            ModelFile(
                self.repo,
                self.revision,
                self.name_pattern.format(quant=quant),
                quant,
                size_bytes,
                sha256,
                quant not in self.quants_of_derived_size,
            )
            for quant, size_bytes, sha256 in self.published
        )


REPOSITORIES = (
    Repository(
        "Qwen/Qwen3-0.6B-GGUF",
        "23749fefcc72300e3a2ad315e1317431b06b590a",
        "Qwen3-0.6B-{quant}.gguf",
        (("Q8_0", 639_446_688, "9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031"),),
    ),
    Repository(
        "Qwen/Qwen3-1.7B-GGUF",
        "90862c4b9d2787eaed51d12237eafdfe7c5f6077",
        "Qwen3-1.7B-{quant}.gguf",
        (("Q8_0", 1_834_426_016, "061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a"),),
    ),
    Repository(
        "Qwen/Qwen3-4B-GGUF",
        "bc640142c66e1fdd12af0bd68f40445458f3869b",
        "Qwen3-4B-{quant}.gguf",
        (
            ("Q4_K_M", 2_497_280_256, "7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5"),
            ("Q5_0", 2_823_710_976, None),
            ("Q5_K_M", 2_889_513_184, "aca596860e8cb40af6539e3f2ea40df305f42515deac56d49c08d39a02e6533f"),
            ("Q6_K", 3_306_260_704, None),
            ("Q8_0", 4_280_404_704, "8c2f07f26af9747e41988551106f149b03eb9b5cb6df636027b6bf6278473300"),
        ),
    ),
    Repository(
        "Qwen/Qwen3-8B-GGUF",
        "7c41481f57cb95916b40956ab2f0b139b296d974",
        "Qwen3-8B-{quant}.gguf",
        (
            ("Q4_K_M", 5_027_783_488, "d98cdcbd03e17ce47681435b5150e34c1417f50b5c0019dd560e4882c5745785"),
            ("Q5_0", 5_720_761_152, None),
            ("Q5_K_M", 5_851_112_224, None),
            ("Q6_K", 6_725_899_040, None),
            ("Q8_0", 8_709_518_112, "408b955510e196121c1c375201744783b5c9a43c7956d73fc78df54c66e883d6"),
        ),
    ),
    Repository(
        "Qwen/Qwen3-14B-GGUF",
        "530227a7d994db8eca5ab5ced2fb692b614357fd",
        "Qwen3-14B-{quant}.gguf",
        (
            ("Q4_K_M", 9_001_752_960, "500a8806e85ee9c83f3ae08420295592451379b4f8cf2d0f41c15dffeb6b81f0"),
            ("Q5_0", 10_263_894_400, None),
            ("Q5_K_M", 10_514_569_568, None),
            ("Q6_K", 12_121_937_248, None),
            ("Q8_0", 15_698_533_728, None),
        ),
    ),
    Repository(
        "Qwen/Qwen3-32B-GGUF",
        "938a7432affaec9157f883a87164e2646ae17555",
        "Qwen3-32B-{quant}.gguf",
        (
            ("Q4_K_M", 19_762_149_024, "efd971561896866f0e910cce52761ca77b1b138090c7f15fe284676d57d1f689"),
            ("Q5_0", 22_635_493_024, None),
            ("Q5_K_M", 23_214_831_232, None),
            ("Q6_K", 26_883_306_112, None),
            ("Q8_0", 34_817_718_912, None),
        ),
    ),
    Repository(
        "Qwen/Qwen3-30B-A3B-GGUF",
        "e4d4bafdfb96a411a163846265362aceb0b9c63a",
        "Qwen3-30B-A3B-{quant}.gguf",
        (
            ("Q4_K_M", 18_556_685_824, "0d003f6662faee786ed5da3e31b29c978de5ae5d275c8794c606a7f3c01aa8f5"),
            ("Q5_0", 21_080_509_952, None),
            ("Q5_K_M", 21_725_580_768, None),
            ("Q6_K", 25_092_531_680, None),
            ("Q8_0", 32_483_931_616, "4ad960d180b16f56024f5b704697e5dd5b0837167c2e515ef0569abfc599743c"),
        ),
        quants_of_derived_size=("Q5_0", "Q5_K_M", "Q6_K", "Q8_0"),
    ),
    Repository(
        "unsloth/Qwen3-0.6B-GGUF",
        "50968a4468ef4233ed78cd7c3de230dd1d61a56b",
        "Qwen3-0.6B-{quant}.gguf",
        (
            ("Q3_K_M", 347_127_488, "30bb9f9222cf58c076277879881a24e7127a10be32076d76d8c70f8defc01f5d"),
            ("Q4_K_M", 396_705_472, "ac2d97712095a558e31573f62f466a3f9d93990898b0ec79d7c974c1780d524a"),
            ("Q5_K_M", 444_415_680, "03c6e2127d155b89c21a512954010486b1e00e1a9eebdfad650d03b53ab4c74a"),
            ("Q6_K", 495_107_776, None),
            ("Q8_0", 639_447_744, "e150ed544dfe6016930c026a93913a5e3184181ebfe6ab2223ae01dd0491784c"),
            ("UD-Q4_K_XL", 405_372_608, None),
            ("BF16", 1_198_182_848, None),
        ),
    ),
    Repository(
        "unsloth/Qwen3-1.7B-GGUF",
        "d7f544eead698dbd1f15126ef60b45a1e1933222",
        "Qwen3-1.7B-{quant}.gguf",
        (
            ("Q3_K_M", 939_539_008, "8070f21b9763ef653289e20252592d0aab6680948f36eb5b4362d403fef09170"),
            ("Q4_K_M", 1_107_409_472, "b139949c5bd74937ad8ed8c8cf3d9ffb1e99c866c823204dc42c0d91fa181897"),
            ("Q5_K_M", 1_257_880_128, "b0949de5b2e06cbed6aa96517f9bd8afb334584b6f95ee83479292ff4bdd8ed3"),
            ("Q6_K", 1_417_755_200, "6a9cadec4883df6f3efcf337103479dcc6a3efa9f5f8cc64a904dba57808207a"),
            ("Q8_0", 1_834_426_944, "0becaa825564295d82e9af4d008bca5f8b7f5f73bf1c6a0b58f7c53ef26b47fd"),
            ("UD-Q4_K_XL", 1_132_952_128, None),
            ("BF16", 3_447_349_568, None),
        ),
    ),
    Repository(
        "unsloth/Qwen3-4B-GGUF",
        None,
        "Qwen3-4B-{quant}.gguf",
        (
            ("Q3_K_M", 2_075_618_592, "e78ff54a67f3b3f57e637fbf0770d5b73c1e215ea7c0153980f1e8140c2b2486"),
            ("Q4_K_M", 2_497_281_312, "f6f851777709861056efcdad3af01da38b31223a3ba26e61a4f8bf3a2195813a"),
        ),
    ),
    Repository(
        "unsloth/Qwen3-8B-GGUF",
        None,
        "Qwen3-8B-{quant}.gguf",
        (
            ("Q4_K_M", 5_027_784_512, "120307ba529eb2439d6c430d94104dabd578497bc7bfe7e322b5d9933b449bd4"),
            ("Q5_K_M", 5_851_113_280, "159c694b93271e4edc1dc2a305b10cf981032c8f3035a7da00973312f0331504"),
            ("Q6_K", 6_725_900_096, "0eaec718fdeab0f429dfa0ec481c090388811f5e63785ddb582292f4ef3c3827"),
            ("Q8_0", 8_709_519_168, "0cfbf745760f07a76ddeb358dd025a27f2e11d1ca9c9a4169a373d52990fe86e"),
        ),
    ),
    Repository(
        "unsloth/Qwen3-14B-GGUF",
        None,
        "Qwen3-14B-{quant}.gguf",
        (
            ("Q4_K_M", 9_001_753_984, "5eaa0870bd81ed3b58a630a271234cfa604e43ffb3a19cd68e54a80dd9d52a66"),
            ("Q5_K_M", 10_514_570_624, "305309039ea44df963c01f66d65e949f8eebca238554916df437f02295a3a413"),
            ("Q6_K", 12_121_938_304, "c34d749069d5f19b998498ce84884975c551529548fa6a56b883345d166289c2"),
            ("Q8_0", 15_698_534_784, "90224247d4a8076c0a689e833910f4291bce05dec81f472ebcba321607168ea1"),
        ),
    ),
    Repository(
        "unsloth/Qwen3-32B-GGUF",
        "931c84066f88693a02ab8de820cfcd066d913241",
        "Qwen3-32B-{quant}.gguf",
        (
            ("Q2_K", 12_344_652_448, None),
            ("Q3_K_S", 14_389_739_168, None),
            ("Q3_K_M", 15_971_778_208, None),
            ("IQ4_XS", 17_714_805_408, None),
            ("Q4_0", 18_703_088_288, None),
            ("Q4_K_S", 18_771_245_728, None),
            ("Q4_K_M", 19_762_150_048, None),
            ("Q5_K_M", 23_214_832_288, None),
            ("Q6_K", 26_883_307_168, None),
            ("Q8_0", 34_817_719_968, None),
            ("UD-Q2_K_XL", 12_797_352_608, None),
            ("UD-Q3_K_XL", 16_403_102_368, None),
            ("UD-Q4_K_XL", 20_021_713_568, None),
            ("UD-Q5_K_XL", 23_233_551_008, None),
            ("UD-Q6_K_XL", 28_961_586_848, None),
            ("UD-Q8_K_XL", 39_481_015_968, None),
        ),
    ),
    Repository(
        "unsloth/Qwen3-30B-A3B-GGUF",
        "d5b1d57bd0b504ac62ae6c725904e96ef228dc74",
        "Qwen3-30B-A3B-{quant}.gguf",
        (
            ("Q2_K", 11_258_610_240, None),
            ("Q3_K_S", 13_292_468_800, None),
            ("Q3_K_M", 14_711_847_488, None),
            ("IQ4_XS", 16_378_073_664, None),
            ("Q4_0", 17_379_988_032, None),
            ("Q4_K_S", 17_456_009_792, None),
            ("Q4_K_M", 18_556_686_912, None),
            ("Q5_K_M", 21_725_581_888, None),
            ("Q6_K", 25_092_532_800, None),
            ("Q8_0", 32_483_932_736, None),
            ("UD-Q2_K_XL", 11_814_277_696, None),
            ("UD-Q3_K_XL", 13_833_048_640, None),
            ("UD-Q4_K_XL", 17_715_663_424, None),
            ("UD-Q5_K_XL", 21_740_302_912, None),
            ("UD-Q6_K_XL", 26_340_325_952, None),
            ("UD-Q8_K_XL", 35_989_944_896, None),
        ),
    ),
    Repository(
        "unsloth/Qwen3-4B-Instruct-2507-GGUF",
        "a06e946bb6b655725eafa393f4a9745d460374c9",
        "Qwen3-4B-Instruct-2507-{quant}.gguf",
        (
            ("Q4_K_M", 2_497_281_120, "3605803b982cb64aead44f6c1b2ae36e3acdb41d8e46c8a94c6533bc4c67e597"),
            ("Q5_K_M", 2_889_514_080, "5bde5e9d883622acb02bf77fe7dcbc56a8b9a9ad4be78a72ca23a532658b4ecb"),
            ("Q6_K", 3_306_261_600, "cd7b21b38b3e71400587c184b6a9b04d3beb4d13fdae6464d4075dee4f1bc5ad"),
            ("Q8_0", 4_280_405_600, "391c1e410fd9f4cf2de2b510273b56a84c19ce18f4fa3bfb3774031dac4ef068"),
        ),
    ),
    Repository(
        "unsloth/Qwen3-30B-A3B-Instruct-2507-GGUF",
        "eea7b2be5805a5f151f8847ede8e5f9a9284bf77",
        "Qwen3-30B-A3B-Instruct-2507-{quant}.gguf",
        (("UD-Q4_K_XL", 17_690_497_440, None),),
    ),
    Repository(
        "bartowski/Qwen_Qwen3-4B-Instruct-2507-GGUF",
        "ae44f08e1392f39c0e474af10c3ff8355c8b6688",
        "Qwen_Qwen3-4B-Instruct-2507-{quant}.gguf",
        (("Q4_K_M", 2_497_280_736, "2fde00ce69dd4899c70d020845e2638353015bba0fdf161b3eb965f2bca4464e"),),
    ),
    Repository(
        "bartowski/Qwen_Qwen3-30B-A3B-Instruct-2507-GGUF",
        "6c6e8692f43e4ca663f7ece8229a1361090d3a4c",
        "Qwen_Qwen3-30B-A3B-Instruct-2507-{quant}.gguf",
        (("Q4_K_M", 18_632_183_808, "382b4f5a164d200f93790ee0e339fae12852896d23485cfb203ce868fea33a95"),),
    ),
)
"""The repositories in order of preference, the official ones first."""
