from __future__ import annotations

import stat
import struct
import zipfile
import zlib

import py7zr
import pytest

from cropflow.errors import CropflowError
from cropflow.labels.archives import source_files, unpacked

ARCHIVE = "data/rpg_2022_sample/RPG_2-0__GPKG_LAMB93_FXX_2022-01-01.7z.001"


def write_zip(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def open_archive(path, **options):
    with unpacked(path, **options) as file:
        return file.name, file.read_bytes()


def test_a_plain_file_is_itself(tmp_path):
    file = tmp_path / "a.gpkg"
    with unpacked(file) as found:
        assert found == file


def test_what_was_unpacked_is_deleted_afterwards(tmp_path):
    path = write_zip(tmp_path / "a.zip", ("deep/down/parcels.gpkg", b"content"), ("readme.txt", b"hello"))
    with unpacked(path) as file:
        assert file.read_bytes() == b"content"
        assert [other.name for other in file.parent.iterdir()] == ["parcels.gpkg"]
    assert not file.exists()
    with pytest.raises(KeyError), unpacked(path) as file:
        raise KeyError
    assert not file.exists()


def test_a_shapefile_comes_with_its_companions(tmp_path):
    names = ["A/P.SHP", "A/P.DBF", "A/P.SHX", "A/P.PRJ", "A/P.txt", "A/Q.DBF", "B/P.DBF"]
    path = write_zip(tmp_path / "a.zip", *((name, name.encode()) for name in names))
    with unpacked(path) as file:
        assert sorted(other.name for other in file.parent.iterdir()) == ["P.DBF", "P.PRJ", "P.SHP", "P.SHX"]


def test_a_shapefile_is_read_with_its_companions(shared):
    path = shared / "data/herault_2018/reference_data/france_data_2018.shp"
    assert {file.suffix for file in source_files(path)} == {".shp", ".shx", ".dbf", ".prj", ".cpg"}


def test_of_several_files_one_is_chosen_by_name_or_by_kind(tmp_path):
    path = write_zip(tmp_path / "a.zip", ("PARCELLES_GRAPHIQUES.gpkg", b"p"), ("ILOTS_ANONYMES.gpkg", b"i"))
    assert open_archive(path, prefer="parcelles") == ("PARCELLES_GRAPHIQUES.gpkg", b"p")
    assert open_archive(path, member="ilots_anonymes") == ("ILOTS_ANONYMES.gpkg", b"i")
    with pytest.raises(CropflowError, match=r"2 files to choose from \(ILOTS_ANONYMES.gpkg, PARC"):
        open_archive(path)


def test_an_archive_without_a_vector_file_names_what_it_holds(tmp_path):
    with pytest.raises(CropflowError, match=r"holds readme.txt; expected one file of .gpkg"):
        open_archive(write_zip(tmp_path / "a.zip", ("readme.txt", b"hello")))


@pytest.mark.parametrize(
    "name", ["../evil.gpkg", "/etc/evil.gpkg", "a/../../evil.gpkg", "..\\evil.gpkg", "C:/evil.gpkg"]
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", ("good.gpkg", b"content"), (name, b"evil"))
    with pytest.raises(CropflowError, match="leads out of its folder"):
        open_archive(path)


def test_names_that_lead_out_of_the_folder_are_refused_in_7z(tmp_path):
    path = tmp_path / "a.7z"
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.set_encoded_header_mode(False)
        archive.writestr(b"content", "aaaevil.gpkg")
    assert open_archive(path)[1] == b"content"
    # The library writes no such name, so it is put into the header at the end, and the two checksums
    # of the first 32 bytes (of the header, and of where it lies) are made to fit.
    content = path.read_bytes().replace("aaaevil".encode("utf-16-le"), "../evil".encode("utf-16-le"))
    offset, size = struct.unpack("<QQ", content[12:28])
    place = content[12:28] + struct.pack("<I", zlib.crc32(content[32 + offset :][:size]))
    path.write_bytes(content[:8] + struct.pack("<I", zlib.crc32(place)) + place + content[32:])
    with pytest.raises(CropflowError, match="leads out of its folder"):
        open_archive(path)


def test_links_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("parcels.gpkg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(CropflowError, match="a link"):
        open_archive(path)


def test_links_are_refused_in_7z(tmp_path):
    (tmp_path / "target.gpkg").write_bytes(b"content")
    (tmp_path / "link.gpkg").symlink_to("target.gpkg")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.write(tmp_path / "link.gpkg", "link.gpkg")
    with pytest.raises(CropflowError, match="a link"):
        open_archive(tmp_path / "a.7z")


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", ("parcels.gpkg", bytes(10_000_000)))
    monkeypatch.setattr("cropflow.labels.archives.ALWAYS_ALLOWED_BYTES", 1000)
    monkeypatch.setattr("cropflow.labels.archives.LARGEST_RATIO", 100)
    with pytest.raises(CropflowError, match=r"would grow from \d+ to 10000000 bytes"):
        open_archive(path)


def test_too_small_a_disk_is_named_with_the_way_out(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", ("parcels.gpkg", b"content"))
    monkeypatch.setattr("cropflow.labels.archives.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1}))
    with pytest.raises(CropflowError, match="TMPDIR"):
        open_archive(path)


@pytest.fixture(scope="module")
def whole(shared):
    return (shared / ARCHIVE).read_bytes()


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_parts_are_read_as_one_archive(tmp_path, shared, whole, parts):
    size = -(-len(whole) // parts)
    for number in range(parts):
        (tmp_path / f"RPG.7z.{number + 1:03d}").write_bytes(whole[number * size : (number + 1) * size])
    assert len(source_files(tmp_path / "RPG.7z.001")) == parts
    name, content = open_archive(tmp_path / "RPG.7z.001")
    assert name == "PARCELLES_GRAPHIQUES.gpkg"
    assert len(content) == 147_456


def test_a_missing_part_is_named(tmp_path, whole):
    (tmp_path / "RPG.7z.001").write_bytes(whole[:9000])
    (tmp_path / "RPG.7z.003").write_bytes(whole[18000:])
    with pytest.raises(CropflowError, match="part 003 but no part 002"):
        open_archive(tmp_path / "RPG.7z.001")


@pytest.mark.parametrize("keep", [0, 5, 40, 9_000, 24_000])
def test_a_truncated_7z_is_one_line(tmp_path, whole, keep):
    (tmp_path / "RPG.7z.001").write_bytes(whole[:keep])
    with pytest.raises(CropflowError, match=r"damaged or incomplete"):
        open_archive(tmp_path / "RPG.7z.001")


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_byte_in_a_7z_is_one_line_and_never_other_content(tmp_path, whole, seed):
    # Equal steps through the file, its header and its end included.
    place = (len(whole) - 1) * seed // 29
    broken = bytearray(whole)
    broken[place] ^= 0x55
    (tmp_path / "RPG.7z.001").write_bytes(broken)
    (tmp_path / "good.7z").write_bytes(whole)
    try:
        content = open_archive(tmp_path / "RPG.7z.001")[1]
    except CropflowError:
        return
    assert content == open_archive(tmp_path / "good.7z")[1]


@pytest.mark.parametrize("place", [0.1, 0.5, 0.97])
def test_a_damaged_zip_is_one_line(tmp_path, place):
    path = write_zip(tmp_path / "a.zip", ("parcels.gpkg", bytes(range(256)) * 400))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * place)])
    with pytest.raises(CropflowError, match="damaged or incomplete"):
        open_archive(path)
    broken = bytearray(content)
    broken[100] ^= 0x55
    path.write_bytes(broken)
    with pytest.raises(CropflowError, match="damaged or incomplete"):
        open_archive(path)


def test_an_encrypted_archive_is_one_line(tmp_path):
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", password="secret") as archive:
        archive.writestr(b"content", "parcels.gpkg")
    with pytest.raises(CropflowError, match="encrypted"):
        open_archive(tmp_path / "a.7z")
